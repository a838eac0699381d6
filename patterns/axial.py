"""A grid: one layer reads along the rows, the next along the columns."""

from attnprof.pattern import Blocks, Card, Expr, Param, Strided, block_pairs, grid_width

CARD = Card(
    title="Axial Transformer",
    bib="ho2019axial",
    survey_class="fixed pattern",
    complexity="O(n sqrt(n))",
    growth=1.5,
    causality=(False,),
    rule="same row of the grid (even layers), same column (odd layers)",
    edges_text="n W and n H for a full grid of H rows and W columns",
    paper_n=4096,
    notes=(
        "n tokens fill a grid by rows, H the smallest at or above sqrt(n), W = ceil(n / H); the last row may be short",
        "the factor saved over dense attention is n^((d - 1) / d) / d for d axes",
        "combine=merge: row and column under one softmax (the union), in one layer",
    ),
    oracle="axial_attention.AxialAttention",
)
PARAMS = {
    "stride": Param(
        source="the width W of the grid, from n: a square image (Ho et al. 2019, section 4: 64 x 64)",
        least=1,
        most="n",
        follows=grid_width,
    ),
    "combine": Param(
        "alternate",
        "alternate (Ho et al. 2019, section 3.1: row and column layers in turn)",
        words=("alternate", "merge"),
    ),
}
EXAMPLES = ({}, {"combine": "merge"}, {"stride": 8})


def layers(*, combine: str) -> int:
    """A layer of rows and a layer of columns."""
    return 2 if combine == "alternate" else 1


def pattern(n: int, *, layer: int, stride: int, combine: str) -> Expr:
    """Rows, columns, or both."""
    rows, columns = Blocks(stride), Strided(stride)
    return rows | columns if combine == "merge" else (rows, columns)[layer % 2]


def edges(n: int, *, layer: int, stride: int, combine: str) -> int:
    """Squares of the lengths of the rows, of the columns, or both without the token itself twice."""
    whole, rest = divmod(n, stride)
    rows = block_pairs(n, stride)
    columns = rest * (whole + 1) ** 2 + (stride - rest) * whole**2
    return rows + columns - n if combine == "merge" else (rows, columns)[layer % 2]


def flops_paper(n: int, *, dim: int, stride: int) -> int:
    """4 n (H + W) D for the pair of layers (Ho et al. 2019, section 3: n^(1/2) keys for each axis)."""
    return 4 * n * (stride + -(-n // stride)) * dim
