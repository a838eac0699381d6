"""Tiny cores whose softmax is worked out by hand.

With one head of width 1 a score is q k. So for q = 1 a key ln w weighs w, for q = -1 it weighs 1 / w, and for q = 0 all
keys weigh alike: every expected number is a fraction that one can follow.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import log
from typing import Any

import torch
from torch import Tensor

from attnprof.shapes import Shape
from attnprof.targets import catalog, door
from attnprof.units import Value
from attnprof.words import DType, Level


def column(*values: float) -> Tensor:
    """Numbers as a stream of one head of width 1, `[1, 1, n, 1]`."""
    return torch.tensor(values, dtype=torch.float64)[None, None, :, None]


def weighing(*weights: float) -> Tensor:
    """Keys that weigh as much as this for a query of 1."""
    return column(*(log(w) for w in weights))


def made(
    name: str, n: int, params: dict[str, Value], level: Level = Level.CORE, **sizes: Any
) -> Iterator[tuple[str, Any]]:
    """The scheme at width 1 by gather and by masked, and its reference: each must give what the hand gives."""
    able = catalog.able(name, catalog.card(name))
    impls: Sequence[str | None] = [impl for impl in able if impl in ("gather", "masked")] or [None]
    shape = Shape(n, dim=sizes.pop("dim", 1), heads=sizes.pop("heads", 1), level=level, dtype=DType.FLOAT64, **sizes)
    for impl in impls:
        target = door.find(name, params=params, impl=impl)
        yield f"{impl or name}", target.build(shape).eval()
        yield f"reference of {impl or name}", target.reference(shape).eval()


def put(parameter: Tensor, *values: Any) -> None:
    """Give a parameter these values, in its own shape."""
    with torch.no_grad():
        parameter.copy_(torch.tensor(values, dtype=parameter.dtype).reshape(parameter.shape))


def assert_is(found: Tensor, expected: Sequence[float], who: str) -> None:
    """The numbers, in order, are these."""
    wanted = torch.tensor(expected, dtype=found.dtype)
    torch.testing.assert_close(found.detach().flatten(), wanted, rtol=1e-12, atol=1e-12, msg=lambda m: f"{who}: {m}")
