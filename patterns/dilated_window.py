"""A band with gaps: each token reads every dilation-th neighbour."""

from attnprof.pattern import Band, Card, Expr

CARD = Card(
    title="Dilated window",
    bib="beltagy2020longformer",
    survey_class="fixed pattern",
    complexity="O(n w)",
    causality=(False, True),
    decode=True,
    rule="j = i + k dilation, |k| <= window / 2; causal: j = i - k dilation, 0 <= k < window",
    edges_text="n (w + 1) - dilation (w/2) (w/2 + 1); causal: n w - dilation w (w - 1) / 2",
    paper_n=4096,
    notes=(
        "dilation alone disconnects: tokens of different residues modulo the dilation never hear of each other, "
        "at any depth; published models dilate only some heads",
    ),
    sources={
        "window": "512 (Beltagy et al. 2020, section 4.2); two-sided without the token itself, causal with it; 0 and 1 "
        "leave the token itself alone",
        "dilation": "2 (Beltagy et al. 2020, table 12: gaps of 1 to 3 in the upper layers)",
    },
    oracle="FlexAttention, dense mask",
)


def pattern(n: int, *, causal: bool = False, window: int = 512, dilation: int = 2) -> Expr:
    """Half a window of every `dilation`-th token to each side; causal: a window of the past."""
    step = max(dilation, 1)
    return Band(max(window, 1) - 1, 0, step) if causal else Band(window // 2, window // 2, step)


def edges(n: int, *, causal: bool = False, window: int = 512, dilation: int = 2) -> int:
    """Full rows minus what the ends cut off: lag k dilation loses as many rows."""
    step = max(dilation, 1)
    reach = min(max(window, 1) - 1 if causal else window // 2, (n - 1) // step)
    past = n * reach - step * reach * (reach + 1) // 2
    return n + (past if causal else 2 * past)


def flops_paper(n: int, *, dim: int, window: int = 512) -> int:
    """4 n w D, dilated or not, n keys at most (Beltagy et al. 2020, section 3.1)."""
    return 4 * n * min(max(window, 1), n) * dim


def flops_paper_step(n: int, *, dim: int, keys: int, window: int = 512) -> int:
    """4 w D: a window of keys, as far as there is one."""
    return 4 * min(max(window, 1), keys) * dim
