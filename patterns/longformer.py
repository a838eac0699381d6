"""A sliding window, and a few global tokens that read all and are read by all."""

from attnprof.pattern import Band, Card, Expr, Global, Param, band_pairs, of_head

CARD = Card(
    title="Longformer",
    bib="beltagy2020longformer",
    survey_class="fixed pattern + memory",
    complexity="O(n (k + m))",
    causality=(False, True),
    maths="own",
    rule="|i - j| <= window / 2, or i or j < global_tokens; causal: 0 <= i - j < window, no globals",
    edges_text="n (w + 1) - (w/2) (w/2 + 1) + 2 g n - g^2 - 2 g (w/2 + 1) + g, for g <= w/2 + 1",
    paper_n=4096,
    notes=(
        "global queries have projections of their own (Q, K, V): one global token costs 4 n D^2 more",
        "window and dilation may differ by head: a list, 64,64,512,512, has one size for each head or equal group of "
        "heads",
        "the causal form has a window only: the paper's language models use no global tokens; only that form could be "
        "decoded token by token, as sliding_window is",
    ),
    oracle="transformers LongformerSelfAttention",
)
PARAMS = {
    "window": Param(
        512,
        "512 (Beltagy et al. 2020, section 4.2); two-sided without the token itself, causal with it; "
        "0 and 1 leave the token itself alone",
        by_head=True,
        by_length=(128, 512, 512, 512),
    ),
    "global_tokens": Param(
        1, "1: the classification token (Beltagy et al. 2020, section 3.1)", by_length=(1, 1, 64, 64)
    ),
    "dilation": Param(
        1,
        "1; the paper's language models dilate two heads of the upper layers (section 4.2, table 12)",
        least=1,
        by_head=True,
    ),
}
EXAMPLES = (
    {"window": 16, "global_tokens": 2},
    {"window": 16, "global_tokens": 2, "dilation": "2,1"},
    {"window": "8,16", "global_tokens": 2, "dilation": "1,3"},
    {"window": 16, "global_tokens": 3},
    {"window": 16, "dilation": "2,1"},
    {"window": "4,8,16,64", "dilation": "3,2,1,1", "global_tokens": 7},
)


def pattern(
    n: int, *, causal: bool, head: int, heads: int, window: int | str, global_tokens: int, dilation: int | str
) -> Expr:
    """The window of the head, and the rows and columns of the global tokens."""
    band = _band_of(head, heads, window, dilation, causal)
    return band if causal or not global_tokens else band | Global(min(global_tokens, n))


def _band_of(head: int, heads: int, window: int | str, dilation: int | str, causal: bool) -> Band:
    """The keys of a head's window; causal: itself and those before it, as many as the window is wide."""
    size, step = of_head(window, head, heads), max(of_head(dilation, head, heads), 1)
    return Band(max(size - 1, 0), 0, step) if causal else Band(size // 2, size // 2, step)


def edges(
    n: int, *, causal: bool, head: int, heads: int, window: int | str, global_tokens: int, dilation: int | str
) -> int:
    """The band's keys, plus the global rows and columns that the band does not have already."""
    band = _band_of(head, heads, window, dilation, causal)
    within = band_pairs(n, band.before, band.after, band.dilation)
    if causal:
        return within
    tokens = min(global_tokens, n)
    crossing = sum(_band_row(t, n, band) for t in range(tokens))
    inside = sum(_band_row(t, tokens, band) for t in range(tokens))
    return within + (2 * tokens * n - tokens**2) - (2 * crossing - inside)


def _band_row(i: int, n: int, band: Band) -> int:
    """Keys below n that row i of the band has."""
    return 1 + min(band.before, i // band.dilation) + min(band.after, (n - 1 - i) // band.dilation)


def flops_paper(n: int, *, dim: int, causal: bool, heads: int, window: int | str, global_tokens: int) -> int:
    """4 n w D, n keys at most: linear in n; 8 n g D for rows and columns of g global tokens; w the mean of the heads'.

    Beltagy et al. 2020, section 3.1.
    """
    widths = sum(min(max(of_head(window, head, heads), 1), n) for head in range(heads))
    tokens = 0 if causal else min(global_tokens, n)
    return 4 * n * dim * widths // heads + 8 * n * tokens * dim
