"""Some of the tokens of what a module is given: of rows on the last axis but one, of ids on the last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from torch import Tensor

T = TypeVar("T")

LAST = slice(-1, None)


def tokens_of(inputs: Sequence[T], n: int, at: slice = LAST) -> tuple[T | Tensor, ...]:
    """Every input that has an axis of n tokens at some of them; any other as it is."""
    return tuple(x if not isinstance(x, Tensor) else _some(x, n, at) for x in inputs)


def length_of(x: Tensor) -> int:
    """How many tokens an input has."""
    return x.shape[-2] if _is_rows(x) else x.shape[-1]


def _is_rows(x: Tensor) -> bool:
    return (x.is_floating_point() or x.is_complex()) and x.dim() > 1


def _some(x: Tensor, n: int, at: slice) -> Tensor:
    if _is_rows(x):
        return x[..., at, :] if x.shape[-2] == n else x
    return x[..., at] if x.shape[-1:] == (n,) else x
