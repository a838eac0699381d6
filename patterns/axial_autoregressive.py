"""A grid in raster order: an outer decoder summarises all rows above, an inner one reads the own row."""

import numpy as np

from attnprof.pattern import Blocks, BlockTable, Card, Expr, Param, Strided, block_pairs, grid_width

CARD = Card(
    title="Axial Transformer, autoregressive",
    bib="ho2019axial",
    survey_class="fixed pattern",
    complexity="O(n sqrt(n))",
    growth=1.5,
    causality=(True,),
    maths="own",
    rule="whole rows above (outer rows, columns and the shift down), then the own row up to the token (inner rows)",
    edges_text="(n - W) W + n (H + 1) / 2 + n (W + 1) / 2, for a full grid of H rows of W",
    dead_queries="tokens of the first row read nothing through the outer decoder, which summarises rows above",
    paper_n=4096,
    undecoded="a token needs what the outer decoder says of the whole row above it; no step is written that keeps it",
    notes=(
        "three layers: rows unmasked, columns masked, and, after the shift, rows masked; together they see exactly "
        "the past in raster order, which masking rows and columns alone never does, at any depth",
        "the outer decoder is moved one row down before it meets the inner one: row r sees rows below r of it",
        "the inner decoder's shift to the right is that of every decoder's inputs, and is left outside as for all",
        "edges stand where they act: the outer rows as reads of the row above",
        "n tokens fill a grid by rows, H the smallest at or above sqrt(n), W = ceil(n / H); the last row may be short",
    ),
)
PARAMS = {
    "stride": Param(
        source="the width W of the grid, from n: a square image (Ho et al. 2019, section 4: 64 x 64)",
        least=1,
        most="n",
        follows=grid_width,
    ),
}


def layers() -> int:
    """Rows and columns of the outer decoder, rows of the inner one."""
    return 3


def pattern(n: int, *, layer: int, stride: int) -> Expr:
    """The row above, the column so far, the own row so far."""
    above = np.arange(-(-n // stride))[:, None] - 1
    return (BlockTable(stride, above), Strided(stride, causal=True), Blocks(stride, causal=True))[layer % 3]


def edges(n: int, *, layer: int, stride: int) -> int:
    """Rows above, triangles of the columns, triangles of the rows."""
    whole, rest = divmod(n, stride)
    above = max(n - stride, 0) * stride
    columns = stride * whole * (whole + 1) // 2 + rest * (whole + 1)
    rows = block_pairs(n, stride, causal=True)
    return (above, columns, rows)[layer % 3]


def flops_paper(n: int, *, dim: int, stride: int) -> int:
    """4 n (H + 2 W) D: outer rows, columns, inner rows (Ho et al. 2019, section 3: n^(1/2) keys for each axis)."""
    return 4 * n * (2 * stride + -(-n // stride)) * dim
