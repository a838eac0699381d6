"""A grid: one layer reads along the rows, the next along the columns."""

from math import isqrt

from attnprof.pattern import Blocks, Card, Expr, Strided

CARD = Card(
    title="Axial Transformer",
    bib="ho2019axial",
    survey_class="fixed pattern",
    complexity="O(n sqrt(n))",
    causality=(False,),
    rule="same row of the grid (even layers), same column (odd layers)",
    edges_text="n W and n H for a full grid of H rows and W columns",
    paper_n=4096,
    notes=(
        "n tokens fill a grid by rows, H the smallest at or above sqrt(n), W = ceil(n / H); the last row may be short",
        "the factor saved over dense attention is n^((d - 1) / d) / d for d axes",
        "combine=merge: row and column under one softmax (the union), in one layer",
    ),
    choices={"combine": ("alternate", "merge")},
    sources={
        "stride": "the width W of the grid, from n: a square image (Ho et al. 2019, section 4: 64 x 64)",
        "combine": "alternate (Ho et al. 2019, section 3.1: row and column layers in turn)",
    },
    oracle="axial_attention.AxialAttention",
)


def resolve(n: int, *, stride: int | None = None) -> dict[str, int]:
    """The width of the grid: ceil(n / H) with the smallest H at or above sqrt(n), unless given."""
    return {"stride": min(stride, n) if stride else -(-n // (isqrt(n - 1) + 1))}


def layers(*, combine: str = "alternate") -> int:
    """A layer of rows and a layer of columns."""
    return 2 if combine == "alternate" else 1


def pattern(n: int, *, layer: int = 0, stride: int | None = None, combine: str = "alternate") -> Expr:
    """Rows, columns, or both."""
    width = resolve(n, stride=stride)["stride"]
    if combine == "merge":
        return Blocks(width) | Strided(width)
    return (Blocks(width), Strided(width))[layer % 2]


def edges(n: int, *, layer: int = 0, stride: int | None = None, combine: str = "alternate") -> int:
    """Squares of the lengths of the rows, of the columns, or both without the token itself twice."""
    width = resolve(n, stride=stride)["stride"]
    whole, rest = divmod(n, width)
    rows = whole * width**2 + rest**2
    columns = rest * (whole + 1) ** 2 + (width - rest) * whole**2
    return rows + columns - n if combine == "merge" else (rows, columns)[layer % 2]


def flops_paper(n: int, *, dim: int, stride: int | None = None) -> int:
    """4 n (H + W) D for the pair of layers (Ho et al. 2019, section 3: n^(1/2) keys for each axis)."""
    width = resolve(n, stride=stride)["stride"]
    return 4 * n * (width + -(-n // width)) * dim
