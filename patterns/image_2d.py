"""Pixels in blocks: each block reads itself and a frame of pixels above and beside it."""

from math import ceil

from attnprof.pattern import Card, Expr, FramedBlocks, Param, grid_side

CARD = Card(
    title="Image Transformer, 2-D local",
    bib="parmar2018image",
    survey_class="fixed pattern",
    complexity="O(n m)",
    complexity_ours="O(n (l + 2 w) (l + w)) for blocks of l x l with a frame of w: above, and to both sides",
    causality=(True,),
    rule="j in the block's memory rectangle, and generated no later than i",
    edges_text="triangles of the own blocks, and for each earlier block in reach its pixels within the frame",
    paper_n=3072,
    notes=(
        "tokens come in generation order: blocks in raster order, pixels in raster order within a block",
        "the image is the smallest near-square of whole blocks that holds n pixels; the last block may be short",
        "of the frame to the right only pixels of the row of blocks above are generated already",
        "a memory rectangle has (h_q + h_m) (w_q + 2 w_m) pixels",
    ),
    oracle="FlexAttention, dense mask",
)
PARAMS = {
    "query_block": Param(8, "8 rows (Parmar et al. 2018, section 5.1: 8 x 32); a square here", least=1, most=grid_side),
    "memory_block": Param(
        8, "8 rows above (Parmar et al. 2018, section 5.1); as many columns to each side here", most=grid_side
    ),
}
EXAMPLES = ({"query_block": 4, "memory_block": 2},)


def _width(n: int, side: int) -> int:
    """Blocks in a row of the image: the smallest number whose square holds them all."""
    blocks = -(-n // side**2)
    return grid_side(blocks)


def pattern(n: int, *, query_block: int, memory_block: int) -> Expr:
    """Blocks of `query_block` squared pixels with a frame of `memory_block` pixels."""
    return FramedBlocks(_width(n, query_block), query_block, memory_block)


def edges(n: int, *, query_block: int, memory_block: int) -> int:
    """Triangles of the own blocks, and for every earlier block in reach its pixels within the frame."""
    side, frame = query_block, memory_block
    across, area = _width(n, side), side**2
    whole, rest = divmod(n, area)
    total = whole * area * (area + 1) // 2 + rest * (rest + 1) // 2
    reach = ceil(frame / side)
    for up in range(reach + 1):
        for right in range(-reach, reach + 1 if up else 0):
            inside = (min(frame - (up - 1) * side, side) if up else side) * (
                min(frame - (abs(right) - 1) * side, side) if right else side
            )
            total += inside * _queries(whole, rest, area, across, up, right)
    return total


def _queries(whole: int, rest: int, area: int, across: int, up: int, right: int) -> int:
    """Pixels of all blocks that have a block `up` rows above and `right` columns beside."""
    columns = range(max(-right, 0), min(across - right, across))
    full = sum(max(-(-(whole - c) // across) - up, 0) for c in columns)
    row, column = divmod(whole, across)
    return full * area + (rest if row >= up and column in columns else 0)


def flops_paper(n: int, *, dim: int, query_block: int, memory_block: int) -> int:
    """4 n m D with a memory rectangle of m = (l + w) (l + 2 w) pixels, n at most (Parmar et al. 2018, section 4.2)."""
    return 4 * n * min((query_block + memory_block) * (query_block + 2 * memory_block), n) * dim
