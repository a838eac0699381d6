"""A grid in raster order: an outer decoder summarises all rows above, an inner one reads the own row."""

from math import isqrt

import numpy as np

from attnprof.pattern import Blocks, BlockTable, Card, Expr, Strided

CARD = Card(
    title="Axial Transformer, autoregressive",
    bib="ho2019axial",
    survey_class="fixed pattern",
    complexity="O(n sqrt(n))",
    causality=(True,),
    maths="own",
    rule="whole rows above (outer rows, columns and the shift down), then the own row up to the token (inner rows)",
    edges_text="(n - W) W + n (H + 1) / 2 + n (W + 1) / 2, for a full grid of H rows of W",
    dead_queries="tokens of the first row read nothing through the outer decoder, which summarises rows above",
    paper_n=4096,
    notes=(
        "three layers: rows unmasked, columns masked, and, after the shift, rows masked; together they see exactly "
        "the past in raster order, which masking rows and columns alone never does, at any depth",
        "the outer decoder is moved one row down before it meets the inner one: row r sees rows below r of it",
        "the inner decoder's shift to the right is that of every decoder's inputs, and is left outside as for all",
        "edges stand where they act: the outer rows as reads of the row above",
        "n tokens fill a grid by rows, H the smallest at or above sqrt(n), W = ceil(n / H); the last row may be short",
    ),
    sources={"stride": "the width W of the grid, from n: a square image (Ho et al. 2019, section 4: 64 x 64)"},
)


def resolve(n: int, *, stride: int | None = None) -> dict[str, int]:
    """The width of the grid: ceil(n / H) with the smallest H at or above sqrt(n), unless given."""
    return {"stride": min(stride, n) if stride else -(-n // (isqrt(n - 1) + 1))}


def layers() -> int:
    """Rows and columns of the outer decoder, rows of the inner one."""
    return 3


def pattern(n: int, *, layer: int = 0, stride: int | None = None) -> Expr:
    """The row above, the column so far, the own row so far."""
    width = resolve(n, stride=stride)["stride"]
    above = np.arange(-(-n // width))[:, None] - 1
    return (BlockTable(width, above), Strided(width, causal=True), Blocks(width, causal=True))[layer % 3]


def edges(n: int, *, layer: int = 0, stride: int | None = None) -> int:
    """Rows above, triangles of the columns, triangles of the rows."""
    width = resolve(n, stride=stride)["stride"]
    whole, rest = divmod(n, width)
    above = max(n - width, 0) * width
    columns = width * whole * (whole + 1) // 2 + rest * (whole + 1)
    rows = whole * width * (width + 1) // 2 + rest * (rest + 1) // 2
    return (above, columns, rows)[layer % 3]


def flops_paper(n: int, *, dim: int, stride: int | None = None) -> int:
    """4 n (H + 2 W) D: outer rows, columns, inner rows (Ho et al. 2019, section 3: n^(1/2) keys for each axis)."""
    width = resolve(n, stride=stride)["stride"]
    return 4 * n * (2 * width + -(-n // width)) * dim
