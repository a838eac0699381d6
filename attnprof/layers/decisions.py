"""Discrete choices of a forward pass (buckets, clusters), kept so that a second pass makes the same ones.

A reversible block computes its layers again from inputs that it has reconstructed, equal up to rounding; a hash of them
could fall on the other side of a boundary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class Decisions:
    """The choices of one pass in the order in which they were made."""

    made: list[Any] = field(default_factory=list)


_current: ContextVar[tuple[Decisions, Iterator[Any] | None] | None] = ContextVar("decisions", default=None)


def decided(choose: Callable[[], T]) -> T:
    """What `choose` returns; while choices are kept it is remembered, while they are replayed it is not called."""
    current = _current.get()
    if current is None:
        return choose()
    kept, replay = current
    if replay is not None:
        return next(replay)
    kept.made.append(choose())
    return kept.made[-1]


@contextmanager
def keeping(kept: Decisions) -> Iterator[None]:
    """Remember every choice of this pass."""
    token = _current.set((kept, None))
    try:
        yield
    finally:
        _current.reset(token)


@contextmanager
def replaying(kept: Decisions) -> Iterator[None]:
    """Make the remembered choices again."""
    token = _current.set((kept, iter(kept.made)))
    try:
        yield
    finally:
        _current.reset(token)
