"""What a pattern is: strided slices, the primitives that published schemes use, and how they combine."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from attnprof.pattern.card import Card
    from attnprof.pattern.closed_counts import all_pairs, band_pairs, block_pairs
    from attnprof.pattern.edges import Pattern
    from attnprof.pattern.expr import Expr, Globals, Past, Sum, Union
    from attnprof.pattern.framed import FramedBlocks, Halo
    from attnprof.pattern.given import BlockTable, Drawn, Explicit, KeyTable
    from attnprof.pattern.grids import grid_side, grid_width, root_power, turn
    from attnprof.pattern.listed import numbers, of_head
    from attnprof.pattern.moving_window import Axis, Neighbourhood
    from attnprof.pattern.param import Param
    from attnprof.pattern.primitives import (
        Band,
        Blocks,
        Dense,
        Global,
        GridWindows,
        Offsets,
        Segments,
        Strided,
        Summary,
    )
    from attnprof.pattern.slices import Slices
    from attnprof.pattern.slots import DrawnSlots, Kernel, Slots, fading_at_start

__all__ = [
    "Axis",
    "Band",
    "BlockTable",
    "Blocks",
    "Card",
    "Dense",
    "Drawn",
    "DrawnSlots",
    "Explicit",
    "Expr",
    "FramedBlocks",
    "Global",
    "Globals",
    "GridWindows",
    "Halo",
    "Kernel",
    "KeyTable",
    "Neighbourhood",
    "Offsets",
    "Param",
    "Past",
    "Pattern",
    "Segments",
    "Slices",
    "Slots",
    "Strided",
    "Sum",
    "Summary",
    "Union",
    "all_pairs",
    "band_pairs",
    "block_pairs",
    "fading_at_start",
    "grid_side",
    "grid_width",
    "numbers",
    "of_head",
    "root_power",
    "turn",
]

MODULES = (
    *("card", "param", "listed", "grids", "closed_counts"),
    *("expr", "slices", "primitives", "given", "framed", "moving_window", "slots", "edges"),
)


def __getattr__(name: str) -> object:
    """Names are looked up when first used: a card needs no arrays, so that reading cards does not load NumPy."""
    if name in __all__:
        for module in MODULES:
            found = importlib.import_module(f"attnprof.pattern.{module}")
            if name in vars(found):
                globals()[name] = value = vars(found)[name]
                return value
    raise AttributeError(f"module 'attnprof.pattern' has no attribute {name!r}")
