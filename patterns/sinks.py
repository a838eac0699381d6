"""A causal window, and the first few tokens, which take the weight that no other key wants."""

from attnprof.pattern import Band, Card, Expr, Global, Param, band_pairs

CARD = Card(
    title="StreamingLLM",
    bib="xiao2024streaming",
    survey_class="window + sinks",
    complexity_ours="O(n w)",
    causality=(True,),
    rule="j <= i, and i - j < window or j < sinks",
    edges_text="n w - w (w - 1) / 2 + s (n - w) - s (s - 1) / 2, for n >= w + s",
    paper_n=4096,
    notes=(
        "sinks are read by all and read nobody later: no path becomes shorter but those to the sinks themselves",
        "positions are counted inside the cache: rotary angles are applied anew at every step",
        "the cache holds window + sinks tokens, however long the text",
    ),
    oracle="FlexAttention, dense mask",
)
PARAMS = {
    "window": Param(
        1020,
        "1020: a cache of 1024 less the sinks (Xiao et al. 2024, section 4.1); includes the token itself; "
        "0 and 1 leave it alone",
        most="n",
        by_length=(252, 1020, 2044, 4092),
    ),
    "sinks": Param(4, "4 (Xiao et al. 2024, section 3.2 and table 2)", most="n"),
}
EXAMPLES = ({"window": 16, "sinks": 3}, {"window": 16}, {"window": 8, "sinks": 0}, {"window": 2, "sinks": 9})


def pattern(n: int, *, window: int, sinks: int) -> Expr:
    """The band, and the columns of the first tokens."""
    band = Band(max(window, 1) - 1)
    return band | Global(sinks, rows=False, causal=True) if sinks else band


def edges(n: int, *, window: int, sinks: int) -> int:
    """The band, and for each sink the queries that have left it behind."""
    width = min(max(window, 1), n)
    return band_pairs(n, width - 1) + sum(max(n - width - sink, 0) for sink in range(sinks))


def flops_paper(n: int, *, dim: int, window: int, sinks: int) -> int:
    """4 n (w + s) D, n keys at most: a cache of constant size (Xiao et al. 2024, figure 1)."""
    return 4 * n * min(max(window, 1) + sinks, n) * dim


def flops_paper_step(n: int, *, dim: int, keys: int, window: int, sinks: int) -> int:
    """4 (w + s) D: the whole cache, as far as it is filled (Xiao et al. 2024, figure 1)."""
    return 4 * min(max(window, 1) + sinks, keys) * dim
