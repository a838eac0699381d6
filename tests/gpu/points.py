"""Which targets, lengths and passes the steps go through, in earnest and in a dry run."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

from attnprof.contracts import Target
from attnprof.shapes import Shape, checked
from attnprof.targets import catalog, door
from tests.gpu.sheet import Sheet

DRY = {"dim": 64, "heads": 2}
DRY_ENTRIES = ("dense", "flash", "linear", "longformer", "sliding_window")


def executable(sheet: Sheet) -> list[Target]:
    """Every entry of the catalogue whose maths is written; in a dry run a few of them."""
    names = DRY_ENTRIES if sheet.small else catalog.names()
    return [door.find(name) for name in names if catalog.entry(name).has_maths]


def shape(sheet: Sheet, target: Target, n: int, **changes: Any) -> Shape:
    """The shape that a sweep would choose: the scheme's native causality, the default widths, small ones when dry."""
    sizes = {**(DRY if sheet.small else {}), "causal": target.card.native_causal, **changes}
    return checked(Shape(n=n, **sizes))


def forget(sheet: Sheet) -> None:
    """Give back the memory of the last point."""
    gc.collect()
    if not sheet.small:
        import torch

        torch.cuda.empty_cache()


def each(*axes: Any) -> Iterator[tuple[Any, ...]]:
    """The product of some axes, the first one the slowest: lengths go first, so that breadth comes before depth."""
    import itertools

    return itertools.product(*axes)
