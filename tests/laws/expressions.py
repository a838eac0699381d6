"""Expressions that between them use every primitive and every way to combine them."""

from __future__ import annotations

import numpy as np

from attnprof.pattern import (
    Band,
    Blocks,
    BlockTable,
    Dense,
    Expr,
    FramedBlocks,
    Global,
    GridWindows,
    Halo,
    KeyTable,
    Offsets,
    Segments,
    Strided,
    Summary,
)

LENGTHS = (1, 5, 37, 64, 100, 128, 200)


def block_table(n: int) -> np.ndarray:
    """The own block, its neighbours and two drawn ones, some of them named twice."""
    count = -(-n // 16)
    own = np.arange(count)
    near = [np.maximum(own - 1, 0), own, np.minimum(own + 1, count - 1)]
    return np.stack([*near, *np.random.default_rng(count).integers(0, count, (2, count))], axis=1)


def expressions(n: int) -> dict[str, Expr]:
    """Every expression at length n, by a readable name."""
    table = block_table(n)
    keys = np.random.default_rng(n).integers(-1, n, (n, 3))
    return {
        "dense": Dense(),
        "dense causal": Dense(causal=True),
        "lopsided band": Band(3, 2),
        "band": Band(16, 16),
        "wide band": Band(40, 40),
        "causal band": Band(15),
        "dilated band": Band(4, 4, 2),
        "strided": Strided(5),
        "strided causal": Strided(5, causal=True),
        "offsets": Offsets((0, 1, 2, 4, 8)),
        "offsets ahead": Band(4, 4) | Offsets((0, 5, -7, 20)),
        "summary": Summary(8, 5, 8),
        "summary causal": Summary(8, 5, 8, causal=True),
        "blocks": Blocks(8),
        "blocks with look-back": Blocks(8, 1, 0, causal=True),
        "blocks both ways": Blocks(5, 1, 1),
        "halo of whole blocks": Halo(8, 16, 0, causal=True),
        "halo of half a block": Halo(8, 4, 0, causal=True),
        "halo both ways": Halo(6, 4, 8),
        "halo of no common size": Halo(7, 5, 3),
        "framed blocks": FramedBlocks(3, 4, 4),
        "framed blocks, narrow": FramedBlocks(3, 4, 2),
        "framed blocks, wide": FramedBlocks(4, 2, 3),
        "framed blocks without a frame": FramedBlocks(2, 3, 0),
        "windows": GridWindows(6, 3),
        "shifted windows": GridWindows(7, 4, 2),
        "segments": Segments((0, 4, 20)),
        "segments causal": Segments((0, 4, 20), causal=True),
        "block table": BlockTable(16, table),
        "block table causal": BlockTable(16, table, causal=True),
        "block table with full rows": BlockTable(16, table, full=(0,)),
        "block table with full rows, causal": BlockTable(16, table, full=(0,), causal=True),
        "key table": Band(2, 2) | KeyTable(keys),
        "band and globals": Band(3, 3) | Global(2),
        "band and sinks": Band(16) | Global(4, rows=False, causal=True),
        "globals at the end": Band(3, 3) | Global(n, max(n - 3, 0)),
        "strided merged": Band(8) | Strided(8, causal=True),
        "fixed merged": Blocks(8, causal=True) | Summary(8, 6, 8, causal=True),
        "axial": Blocks(8) | Strided(8),
        "axial causal": Blocks(8, causal=True) | Strided(8, causal=True),
        "past of a union": (Band(3, 3) | Strided(6)).past(),
    }


NAMES = tuple(expressions(64))
