"""Lengths that a module takes: sizes of its own parameters and tables are tried where the one asked for fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from attnprof.counting.eagerly import quietly
from attnprof.shapes import Shape
from attnprof.targets.calling import Calling
from attnprof.words import DType, Layout

if TYPE_CHECKING:
    from torch import nn

USUAL = (256, 128, 64, 49, 196, 197, 16)
MOST = 1024


def length_near(make: Callable[[Shape], nn.Module], calling: Calling, shape: Shape, layout: Layout) -> int | None:
    """The length asked for where it runs there, else the nearest that does; None where none does."""
    for n in candidates(make, shape):
        if runs(make, calling, shape.replace(n=n, batch=1, dtype=DType.FLOAT32), layout):
            return n
    return None


def candidates(make: Callable[[Shape], nn.Module], shape: Shape) -> Iterator[int]:
    """The length asked for, then sizes that the module has somewhere, and usual ones, the nearest first."""
    yield shape.n
    held = make(shape)
    sizes = {size for t in (*held.parameters(), *held.buffers()) for size in t.shape if 1 < size <= MOST}
    yield from sorted({*sizes, *USUAL} - {shape.n}, key=lambda n: (abs(n - shape.n), n))


def runs(make: Callable[[Shape], nn.Module], calling: Calling, shape: Shape, layout: Layout) -> bool:
    """Whether a forward on random inputs goes through."""
    import torch

    with torch.random.fork_rng(devices=[]), torch.no_grad(), quietly():
        try:
            calling.run(make(shape).eval(), calling.inputs(shape, layout), layout)
        except Exception:
            return False
    return True
