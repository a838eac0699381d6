"""A band with gaps: each token reads every dilation-th neighbour."""

from attnprof.pattern import Band, Card, Expr, Param, band_pairs

CARD = Card(
    title="Dilated window",
    bib="beltagy2020longformer",
    survey_class="fixed pattern",
    complexity="O(n w)",
    causality=(False, True),
    rule="j = i + k dilation, |k| <= window / 2; causal: j = i - k dilation, 0 <= k < window",
    edges_text="n (w + 1) - dilation (w/2) (w/2 + 1); causal: n w - dilation w (w - 1) / 2",
    paper_n=4096,
    notes=(
        "dilation alone disconnects: tokens of different residues modulo the dilation never hear of each other, "
        "at any depth; published models dilate only some heads",
    ),
    oracle="FlexAttention, dense mask",
)
PARAMS = {
    "window": Param(
        512,
        "512 (Beltagy et al. 2020, section 4.2); two-sided without the token itself, causal with it; "
        "0 and 1 leave the token itself alone",
        by_length=(128, 512, 512, 512),
    ),
    "dilation": Param(2, "2 (Beltagy et al. 2020, table 12: gaps of 1 to 3 in the upper layers)", least=1),
}
EXAMPLES = ({"window": 8, "dilation": 3}, {"window": 16, "dilation": 3})


def pattern(n: int, *, causal: bool, window: int, dilation: int) -> Expr:
    """Half a window of every `dilation`-th token to each side; causal: a window of the past."""
    return Band(max(window, 1) - 1, 0, dilation) if causal else Band(window // 2, window // 2, dilation)


def edges(n: int, *, causal: bool, window: int, dilation: int) -> int:
    """Full rows minus what the ends cut off: lag k dilation loses as many rows."""
    half = window // 2
    return band_pairs(n, max(window, 1) - 1, 0, dilation) if causal else band_pairs(n, half, half, dilation)


def flops_paper(n: int, *, dim: int, window: int) -> int:
    """4 n w D, dilated or not, n keys at most (Beltagy et al. 2020, section 3.1)."""
    return 4 * n * min(max(window, 1), n) * dim


def flops_paper_step(n: int, *, dim: int, keys: int, window: int) -> int:
    """4 w D: a window of keys, as far as there is one."""
    return 4 * min(max(window, 1), keys) * dim
