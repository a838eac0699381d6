"""Each token reads as many nearest neighbours on a line or a grid; at the border the window moves inwards."""

from attnprof.pattern import Axis, Band, Card, Expr, Neighbourhood, Param, band_pairs, grid_side, grid_width

CARD = Card(
    title="Neighbourhood attention",
    bib="hassani2023natten",
    survey_class="fixed pattern",
    complexity_ours="O(n w), on a grid O(n w^2)",
    causality=(False, True),
    maths="own",
    v_head_dim=True,
    rule="per axis the w places of one residue modulo dilation around the own, moved inwards at the ends; causal: the "
    "own and w - 1 before, cut off at the start",
    edges_text="n w, on a full grid n w^2: every token reads as many; causal n w - dilation w (w - 1) / 2",
    paper_n=3136,
    notes=(
        "edges are not symmetric: a corner is read by more than read it",
        "layout=grid: the tokens fill the smallest square grid by rows; a short last row is absent to the others",
        "dilation 1 and one of floor(n / w) at most take turns in DiNAT (Hassani and Shi 2022, sections 3.2 and 3.4)",
        "decoding is that of a window, in one causal dimension",
    ),
    oracle="a dense mask by the definition; natten's own kernels on a GPU",
)
PARAMS = {
    "kernel": Param(7, "7 (Hassani et al. 2023; Hassani and Shi 2022, table 2)", least=1),
    "dilation": Param(1, "1 (Hassani et al. 2023); DiNAT's layers alternate (Hassani and Shi 2022)", least=1),
    "layout": Param("grid", "grid: of images (Hassani et al. 2023)", words=("grid", "line")),
}
EXAMPLES = (
    {"kernel": 5, "layout": "line"},
    {"kernel": 4, "layout": "line", "dilation": 3},
    {"kernel": 3, "layout": "grid"},
    {"kernel": 3, "layout": "grid", "dilation": 2},
)


def pattern(n: int, *, causal: bool, kernel: int, dilation: int, layout: str) -> Expr:
    """One axis, or two; a causal line is a plain window."""
    if layout == "line":
        return Band(kernel - 1, 0, dilation) if causal else Neighbourhood(Axis(n, kernel, dilation))
    across, down = (Axis(size, kernel, dilation, causal) for size in (grid_width(n), grid_side(n)))
    return Neighbourhood(across, down)


def edges(n: int, *, causal: bool, kernel: int, dilation: int, layout: str) -> int | None:
    """Of a line; a grid with a short last row is counted edge by edge."""
    if layout == "grid":
        return None
    if causal:
        return band_pairs(n, kernel - 1, step=dilation)
    sizes = [len(range(first, n, dilation)) for first in range(min(dilation, n))]
    return sum(size * min(kernel, size) for size in sizes)


def flops_paper(n: int, *, dim: int, kernel: int, layout: str) -> int:
    """4 n w D, on a grid 4 n w^2 D, n keys of each at most: twice the products of Hassani and Shi 2022, table 1."""
    return 4 * n * min(kernel ** (2 if layout == "grid" else 1), n) * dim
