"""A causal window, and the first few tokens, which take the weight that no other key wants."""

from attnprof.pattern import Band, Card, Expr, Global

CARD = Card(
    title="StreamingLLM",
    bib="xiao2024streaming",
    survey_class="window + sinks",
    complexity="",
    complexity_ours="O(n w)",
    causality=(True,),
    decode=True,
    rule="j <= i, and i - j < window or j < sinks",
    edges_text="n w - w (w - 1) / 2 + s (n - w) - s (s - 1) / 2, for n >= w + s",
    paper_n=4096,
    notes=(
        "sinks are read by all and read nobody later: no path becomes shorter but those to the sinks themselves",
        "positions are counted inside the cache: rotary angles are applied anew at every step",
        "the cache holds window + sinks tokens, however long the text",
    ),
    sources={
        "window": "1020: a cache of 1024 less the sinks (Xiao et al. 2024, section 4.1); includes the token "
        "itself; 0 and 1 leave it alone",
        "sinks": "4 (Xiao et al. 2024, section 3.2 and table 2)",
    },
    oracle="FlexAttention, dense mask",
)


def resolve(n: int, *, window: int = 1020, sinks: int = 4) -> dict[str, int]:
    """Neither more than the sequence."""
    return {"window": min(window, n), "sinks": min(sinks, n)}


def pattern(n: int, *, window: int = 1020, sinks: int = 4) -> Expr:
    """The band, and the columns of the first tokens."""
    band = Band(max(window, 1) - 1)
    return band | Global(min(sinks, n), rows=False, causal=True) if sinks else band


def edges(n: int, *, window: int = 1020, sinks: int = 4) -> int:
    """The band, and for each sink the queries that have left it behind."""
    width = min(max(window, 1), n)
    return n * width - width * (width - 1) // 2 + sum(max(n - width - sink, 0) for sink in range(min(sinks, n)))


def flops_paper(n: int, *, dim: int, window: int = 1020, sinks: int = 4) -> int:
    """4 n (w + s) D, n keys at most: a cache of constant size (Xiao et al. 2024, figure 1)."""
    return 4 * n * min(max(window, 1) + sinks, n) * dim


def flops_paper_step(n: int, *, dim: int, keys: int, window: int = 1020, sinks: int = 4) -> int:
    """4 (w + s) D: the whole cache, as far as it is filled (Xiao et al. 2024, figure 1)."""
    return 4 * min(max(window, 1) + sinks, keys) * dim
