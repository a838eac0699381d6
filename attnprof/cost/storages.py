"""Which memory lives when: storages followed from the operator that makes them to the moment they die."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator
from typing import Any

from torch import Tensor


class _Life(weakref.ref):  # type: ignore[type-arg]
    """A storage that is watched until it dies."""

    __slots__ = ("key", "nbytes")
    key: int
    nbytes: int


class Lifetimes:
    """Live bytes beyond a baseline, and their peak.

    `before(tensors)` names what lived before the pass; `born(tensor)` is told of every result. Sizes may be symbolic.
    """

    def __init__(self) -> None:
        self.live: Any = 0
        self.peak: Any = 0
        self.at_peak: tuple[_Life, ...] = ()
        self.known: dict[int, _Life] = {}
        self.outside: dict[int, _Life] = {}

    def before(self, tensors: Iterable[Tensor]) -> None:
        """Memory that lived before the pass: it is not counted when an operator returns it."""
        for t in tensors:
            storage = t.untyped_storage()
            if storage._cdata not in self.outside:
                life = _Life(storage, self._forget)
                life.key, life.nbytes = storage._cdata, storage.nbytes()
                self.outside[life.key] = life

    def born(self, t: Tensor) -> int:
        """A result: its storage is live from now on, unless it is an old one. Returns the new bytes."""
        storage = t.untyped_storage()
        key = storage._cdata
        if key in self.known or key in self.outside:
            return 0
        life = _Life(storage, self._died)
        life.key, life.nbytes = key, storage.nbytes()
        self.known[key] = life
        self.live += life.nbytes
        return life.nbytes

    def reached(self, extra: int = 0) -> None:
        """The present level, with `extra` bytes of workspace on top, may be a peak."""
        level = self.live + extra
        if level > self.peak:
            self.peak = level
            self.at_peak = tuple(self.known.values())

    def knows(self, key: int) -> bool:
        """Whether a storage was named before the pass or made by an operator of it."""
        return key in self.known or key in self.outside

    def made(self, t: Tensor) -> bool:
        """Whether an operator of the pass made a tensor's storage."""
        return t.untyped_storage()._cdata in self.known

    def alive(self) -> dict[int, int]:
        """Bytes of every storage that lives beyond the baseline, by its key."""
        return {key: life.nbytes for key, life in self.known.items()}

    def _died(self, life: Any) -> None:
        if self.known.get(life.key) is life:
            del self.known[life.key]
            self.live -= life.nbytes

    def _forget(self, life: Any) -> None:
        if self.outside.get(life.key) is life:
            del self.outside[life.key]


def unique_bytes(tensors: Iterable[Tensor]) -> int:
    """Bytes of the distinct storages of some tensors."""
    return sum({t.untyped_storage()._cdata: t.untyped_storage().nbytes() for t in tensors}.values())


def flat(values: Any) -> Iterator[Tensor]:
    """The tensors among an operator's arguments or results, lists of tensors included."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, (tuple, list)):
            yield from (t for t in value if isinstance(t, Tensor))
