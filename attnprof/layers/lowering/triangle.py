"""A causal triangle in tiles: the diagonal in small masked blocks, everything below it in rectangles without a mask.

Of two neighbouring groups of 2^l blocks, each query block of the second reads the whole first one; over all l that is
every pair of blocks once. No table grows with the pairs.
"""

from __future__ import annotations

import numpy as np

from attnprof.layers.lowering.tiling import TilePart, View

ROWS = 256
MOST_BLOCKS = 1024


def triangle(n: int, view: View) -> list[TilePart]:
    """The parts of j <= i within each residue class of a view (within the sequence, for the natural order).

    They belong to one softmax. The pairs computed are those of the block triangle: half of all and half a block a row.
    """
    block = block_rows(-(-n // view.stride))
    below = np.tri(block, dtype=np.bool_)  # padding stands after every token of its block, so this masks it too
    diagonal = TilePart(n, view, view, block, block, shifts=(0,), relative=None if block == 1 else below)
    count = view.group_blocks(n, block)
    return [diagonal, *(rectangles(n, view, block, level) for level in range((count - 1).bit_length()))]


def block_rows(length: int) -> int:
    """Rows of a block, at most about 256 (more only beyond 256k tokens), of blocks as equal as they can be."""
    blocks = min(-(-length // ROWS), MOST_BLOCKS)
    return -(-length // blocks)


def rectangles(n: int, view: View, block: int, level: int) -> TilePart:
    """Query blocks of every second group of 2^level blocks, and the group before it: tokens all, none of them padding.

    A class that is one token shorter lacks it in its last block, which no query block reads as another's group.
    """
    count = view.group_blocks(n, block)
    own = np.flatnonzero(np.arange(count) >> level & 1)
    before = (((own >> level) - 1) << level)[:, None] + np.arange(1 << level)
    first = np.arange(view.stride)[:, None] * count
    table = (first[:, :, None] + before).reshape(1, -1, 1 << level)
    return TilePart(n, view, view, block, block, table=table, tiles=(first + own).ravel(), joins=True)
