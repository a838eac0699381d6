"""A band: each token reads its neighbours."""

from attnprof.pattern import Band, Card, Expr, Param, band_pairs

CARD = Card(
    title="Sliding window",
    bib="beltagy2020longformer",
    survey_class="fixed pattern",
    complexity="O(n w)",
    causality=(False, True),
    rule="|i - j| <= window / 2; causal: 0 <= i - j < window; i = j always",
    edges_text="n (w + 1) - (w/2) (w/2 + 1); causal: n w - w (w - 1) / 2",
    paper_n=4096,
    oracle="FlexAttention, dense mask",
)
PARAMS = {
    "window": Param(
        512,
        "512 (Beltagy et al. 2020, section 4.2); two-sided without the token itself, causal with it; "
        "0 and 1 leave the token itself alone",
        by_length=(128, 512, 512, 512),
    ),
}
EXAMPLES = ({"window": 16},)


def pattern(n: int, *, causal: bool, window: int) -> Expr:
    """Half a window to each side; causal: `window` keys up to and including the token itself."""
    return Band(max(window, 1) - 1) if causal else Band(window // 2, window // 2)


def edges(n: int, *, causal: bool, window: int) -> int:
    """Full rows minus what the ends cut off."""
    return band_pairs(n, max(window, 1) - 1) if causal else band_pairs(n, window // 2, window // 2)


def flops_paper(n: int, *, dim: int, window: int) -> int:
    """4 n w D, n keys at most: the linear cost that the paper claims (Beltagy et al. 2020, section 3.1)."""
    return 4 * n * min(max(window, 1), n) * dim


def flops_paper_step(n: int, *, dim: int, keys: int, window: int) -> int:
    """4 w D: a window of keys, as far as there is one."""
    return 4 * min(max(window, 1), keys) * dim
