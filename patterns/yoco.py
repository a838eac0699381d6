"""A decoder of windows, whose output gives keys and values once, and a decoder of layers that all read those."""

from attnprof.pattern import Band, Card, Dense, Expr, Param, all_pairs, band_pairs

CARD = Card(
    title="YOCO",
    bib="sun2024yoco",
    survey_class="shared keys and values",
    complexity_ours="O(n w) in the lower half of the layers, O(n^2) in the upper one",
    growth=None,
    causality=(True,),
    maths="own",
    rule="lower half of the layers: 0 <= i - j < window; upper half: j <= i, over the keys and values of one layer",
    edges_text="lower layers: n w - w (w - 1) / 2 each; upper layers: n (n + 1) / 2 each",
    notes=(
        "keys and values of the upper half are made once, of the lower half's output: its first layer keeps them, the "
        "others have queries alone; what decoding keeps grows by one layer's keys and values a token",
        "each upper layer reads them anew: the bytes that a step reads do not shrink with the cache",
        "a prompt can stop after the lower half and those keys and values, but for its last token: its prefill is "
        "linear in n; a forward pass here is that of training, of all rows",
        "the windows are the paper's second self-decoder; its first, gated retention, is that of retnet with a gate",
        "upper layers are computed by explicit products, as dense is",
    ),
    oracle="one masked softmax a layer, over keys and values that are used again",
)
PARAMS = {
    "total": Param(
        4,
        "4 layers in all: ours, the fewest of which two share; the released 3B model has 26 (half of each kind: Sun et "
        "al. 2024, section 2)",
        least=2,
    ),
    "window": Param(1024, "1024: ours; the released configurations have gated retention in its place", most="n"),
}
EXAMPLES = ({"window": 16}, {"window": 16, "total": 2}, {"window": 7, "total": 6})


def layers(*, total: int) -> int:
    """Those of both halves; of an odd number the upper half has one more."""
    return total


def pattern(n: int, *, layer: int, total: int, window: int) -> Expr:
    """A window below, all of the past above."""
    return Band(max(window, 1) - 1) if layer % total < total // 2 else Dense(causal=True)


def edges(n: int, *, layer: int, total: int, window: int) -> int:
    """Of a window, or of the whole past."""
    return band_pairs(n, max(window, 1) - 1) if layer % total < total // 2 else all_pairs(n, causal=True)


def flops_paper(n: int, *, dim: int, total: int, window: int) -> int:
    """4 n w D a lower layer and 4 n^2 D an upper one: O(n w) and O(n^2) (Sun et al. 2024, section 2)."""
    return 4 * n * dim * (total // 2 * min(max(window, 1), n) + (total - total // 2) * n)
