"""A sliding window, and a few global tokens that read all and are read by all."""

from attnprof.pattern import Band, Card, Expr, Global

CARD = Card(
    title="Longformer",
    bib="beltagy2020longformer",
    survey_class="fixed pattern + memory",
    complexity="O(n (k + m))",
    causality=(False, True),
    maths="own",
    runners=("gather", "masked"),
    rule="|i - j| <= window / 2, or i or j < global_tokens; causal: 0 <= i - j < window, no globals",
    edges_text="n (w + 1) - (w/2) (w/2 + 1) + 2 g n - g^2 - 2 g (w/2 + 1) + g, for g <= w/2 + 1",
    paper_n=4096,
    notes=(
        "global queries have projections of their own (Q, K, V): one global token costs 4 n D^2 more",
        "the causal form has a window only: the paper's language models use no global tokens",
    ),
    sources={
        "window": "512 (Beltagy et al. 2020, section 4.2)",
        "global_tokens": "1: the classification token (Beltagy et al. 2020, section 3.1)",
        "dilation": "1; the paper's language models dilate two heads of the upper layers (table 12)",
        "dilated_heads": "0; 2 in the paper's language models (section 4.2)",
    },
    oracle="transformers LongformerSelfAttention",
)


def pattern(
    n: int,
    *,
    causal: bool = False,
    head: int = 0,
    window: int = 512,
    global_tokens: int = 1,
    dilation: int = 1,
    dilated_heads: int = 0,
) -> Expr:
    """The band (dilated in the first `dilated_heads` heads), and the rows and columns of the global tokens."""
    step = dilation if head < dilated_heads else 1
    if causal:
        return Band(window - 1, 0, step)
    band = Band(window // 2, window // 2, step)
    return band | Global(min(global_tokens, n)) if global_tokens else band


def edges(
    n: int,
    *,
    causal: bool = False,
    head: int = 0,
    window: int = 512,
    global_tokens: int = 1,
    dilation: int = 1,
    dilated_heads: int = 0,
) -> int:
    """The band's keys, plus the global rows and columns that the band does not have already."""
    step = dilation if head < dilated_heads else 1
    if causal:
        return sum(n - lag * step for lag in range(window) if lag * step < n)
    half = min(window // 2, (n - 1) // step)
    band = n * (2 * half + 1) - step * half * (half + 1)
    tokens = min(global_tokens, n)
    crossing = sum(_band_row(t, n, half, step) for t in range(tokens))
    inside = sum(
        1 for t in range(tokens) for s in range(tokens) if abs(t - s) % step == 0 and abs(t - s) <= half * step
    )
    return band + (2 * tokens * n - tokens**2) - (2 * crossing - inside)


def _band_row(i: int, n: int, half: int, step: int) -> int:
    """Keys that row i of the band has."""
    return 1 + min(half, i // step) + min(half, (n - 1 - i) // step)


def flops_paper(n: int, *, dim: int, window: int = 512) -> int:
    """4 n w D: linear in n (Beltagy et al. 2020, section 3.1)."""
    return 4 * n * window * dim
