"""What a pattern is: strided slices, the primitives that published schemes use, and how they combine."""

from attnprof.pattern.card import Card
from attnprof.pattern.expr import Expr, Past, Sum, Union
from attnprof.pattern.framed import FramedBlocks, Halo
from attnprof.pattern.pattern import Pattern
from attnprof.pattern.primitives import (
    Band,
    Blocks,
    BlockTable,
    Dense,
    Drawn,
    Explicit,
    Global,
    GridWindows,
    KeyTable,
    Offsets,
    Segments,
    Strided,
    Summary,
)
from attnprof.pattern.slices import Slices
from attnprof.pattern.slots import Kernel, Slots

__all__ = [
    "Band",
    "BlockTable",
    "Blocks",
    "Card",
    "Dense",
    "Drawn",
    "Explicit",
    "Expr",
    "FramedBlocks",
    "Global",
    "GridWindows",
    "Halo",
    "Kernel",
    "KeyTable",
    "Offsets",
    "Past",
    "Pattern",
    "Segments",
    "Slices",
    "Slots",
    "Strided",
    "Sum",
    "Summary",
    "Union",
]
