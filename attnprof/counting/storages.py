"""Which memory lives when: storages followed from the operator that makes them to the moment they die."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

import torch
from torch import Tensor

from attnprof.torch_private import key_of, made_of, sparse_parts, storage_key

V = TypeVar("V")


class StorageMap(Generic[V]):
    """A value for some storages, forgotten when the storage dies."""

    def __init__(self) -> None:
        self.entries: dict[int, tuple[object, V]] = {}

    def get(self, t: Tensor) -> V | None:
        """The value of a tensor's storage, or None."""
        entry = self.entries.get(storage_key(t))
        return None if entry is None else entry[1]

    def put(self, t: Tensor, value: V) -> None:
        """Give a tensor's storage a value, in place of an earlier one."""
        storage = t.untyped_storage()
        key = key_of(storage)
        self.entries[key] = weakref.ref(storage, lambda _: self.entries.pop(key, None)), value

    def drop(self, t: Tensor) -> None:
        """Take the value of a tensor's storage away, if it has one."""
        self.entries.pop(storage_key(t), None)


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
        self.live: int = 0
        self.peak: int = 0
        self.at_peak: tuple[_Life, ...] = ()
        self.known: dict[int, _Life] = {}
        self.outside: dict[int, _Life] = {}

    def before(self, tensors: Iterable[Tensor]) -> None:
        """Memory that lived before the pass: it is not counted when an operator returns it."""
        for t in flat(tensors):
            storage = t.untyped_storage()
            key = key_of(storage)
            if key not in self.outside:
                life = _Life(storage, self._forget)
                life.key, life.nbytes = key, storage.nbytes()
                self.outside[key] = life

    def handed(self, tensors: Iterable[Tensor], gone: Callable[[int], object]) -> None:
        """Memory that lived before the pass and that it may let go of: `gone` hears its key, and the level falls."""
        for t in flat(tensors):
            storage = t.untyped_storage()
            key = key_of(storage)
            if not self.knows(key):
                life = _Life(storage, lambda life: (self._died(life), gone(life.key)))
                life.key, life.nbytes = key, storage.nbytes()
                self.known[key] = life

    def born(self, t: Tensor) -> int:
        """A result: its storage is live from now on, unless it is an old one. Returns the new bytes."""
        storage = t.untyped_storage()
        key = key_of(storage)
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
        return storage_key(t) in self.known

    def alive(self) -> dict[int, int]:
        """Bytes of every storage that lives beyond the baseline, by its key."""
        return {key: life.nbytes for key, life in self.known.items()}

    def _died(self, life: _Life) -> None:
        if self.known.get(life.key) is life:
            del self.known[life.key]
            self.live -= life.nbytes

    def _forget(self, life: _Life) -> None:
        if self.outside.get(life.key) is life:
            del self.outside[life.key]


def unique_bytes(tensors: Iterable[Tensor]) -> int:
    """Bytes of the distinct storages of some tensors."""
    return sum({storage_key(t): t.untyped_storage().nbytes() for t in flat(tensors)}.values())


def flat(values: Iterable[object]) -> Iterator[Tensor]:
    """The tensors among arguments or results, lists included; a sparse or nested one by what it is made of."""
    for value in values:
        if isinstance(value, Tensor):
            yield from (value,) if is_plain(value) else parts(value)
        elif isinstance(value, (tuple, list)):
            for t in value:
                if isinstance(t, Tensor):
                    yield from (t,) if is_plain(t) else parts(t)


def is_plain(t: Tensor) -> bool:
    """Whether a tensor has one storage and strides: neither sparse, nor nested."""
    return t.layout is torch.strided and not t.is_nested


def parts(t: Tensor) -> Iterator[Tensor]:
    """The dense tensors that a sparse or nested one is made of: indices, offsets, values."""
    if t.is_nested and t.layout is torch.strided:
        yield t.values()
    elif t.layout is torch.sparse_coo:
        yield from sparse_parts(t)
    elif t.layout in (torch.sparse_csr, torch.sparse_bsr):
        yield from (t.crow_indices(), t.col_indices(), t.values())
    elif t.layout in (torch.sparse_csc, torch.sparse_bsc):
        yield from (t.ccol_indices(), t.row_indices(), t.values())
    else:
        yield from flat(made_of(t))
