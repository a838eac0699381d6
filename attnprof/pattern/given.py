"""Patterns that are given as data: tables of blocks or keys, slices, samples that are drawn when somebody asks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from attnprof.errors import AttnprofError, TooLarge
from attnprof.pattern.expr import AsArray, EdgeRule, Expr, Globals, Reader
from attnprof.pattern.slices import Bools, Ints, Slices

R = TypeVar("R")
MOST_BLOCKS = 8192


@dataclass(frozen=True, eq=False)
class BlockTable(Expr):
    """Query block I reads the key blocks `table[I]`, or all of them if I is in `full`; causal adds j <= i.

    `table` is `[blocks, k]` for `n = blocks * size` (the last block may be short), -1 where a row has fewer, a block
    named twice counts once: random blocks, global blocks, sorted blocks.
    """

    size: int
    table: Ints
    full: tuple[int, ...] = ()
    causal: bool = False

    def __post_init__(self) -> None:
        Expr.__post_init__(self)
        object.__setattr__(self, "table", np.asarray(self.table))  # a tensor would turn fake where counts are made
        _in_range("BlockTable", "block", self.table, len(self.table))
        _in_range("BlockTable", "full block", np.asarray(self.full, dtype=np.int64), len(self.table), least=0)

    def reader(self, n: int) -> Reader:
        if len(self.table) != -(-n // self.size):
            raise AttnprofError(
                f"BlockTable has {len(self.table)} rows for {n} tokens in blocks of {self.size}",
                hint=f"one row a block of queries: {-(-n // self.size)}",
            )
        lists, count, size = self.lists(), len(self.table), self.size
        full = np.zeros(count, dtype=np.bool_)
        full[list(self.full)] = True

        def read(first: int, last: int) -> Slices:
            low, high = first // size, min(-(-last // size), count)
            block, at = np.nonzero(lists[low:high] >= 0)
            key, whole = lists[low + block, at], np.flatnonzero(full[low:high])
            rows = Slices.of(
                max(high - low, 0),
                np.concatenate([block, whole]),
                np.concatenate([key, 0 * whole]),
                np.concatenate([key + 1, 0 * whole + count]),
                m=count,
            ).disjoint()
            i = ((rows.row[:, None] + low) * size + np.arange(size)).ravel()
            start, stop = np.repeat(rows.start, size) * size, np.repeat(rows.stop, size) * size
            found = Slices.of(n, i, start, np.minimum(stop, i + 1) if self.causal else stop)
            return found.between(first, last)

        return read

    def lists(self) -> Ints:
        """The table with the blocks of each row ascending, none twice, none of the future if causal, no full row."""
        table = np.sort(self.table, axis=1)
        keep = np.ones(table.shape, dtype=np.bool_)
        keep[:, 1:] = table[:, 1:] != table[:, :-1]
        keep[list(self.full)] = False
        if self.causal:
            keep &= table <= np.arange(len(table))[:, None]
        return np.where(keep, table, -1)

    def rule(self, i: Ints, j: Ints, asarray: AsArray = np.asarray) -> Bools:
        read = asarray(self._matrix())[i // self.size, j // self.size]
        return read & (j <= i) if self.causal else read

    def bound(self, asarray: AsArray) -> EdgeRule:
        read, size, causal = asarray(self._matrix()), self.size, self.causal
        return lambda i, j: read[i // size, j // size] & (j <= i) if causal else read[i // size, j // size]

    def declares(self, n: int) -> Globals:
        full = np.isin(np.arange(n) // self.size, self.full)
        others = np.delete(self.table, list(self.full), axis=0)
        read = [block for block in self.full if bool((others == block).any(axis=1).all())]
        return Globals(full, np.isin(np.arange(n) // self.size, read))

    def _matrix(self) -> np.ndarray:
        count = len(self.table)
        if count > MOST_BLOCKS:
            raise TooLarge(
                f"a rule of a BlockTable of {count:,} blocks looks up {count:,} x {count:,} of them, more than "
                f"{MOST_BLOCKS:,} x {MOST_BLOCKS:,}",
                hint="larger blocks, a shorter n, or --impl gather",
            )
        matrix = np.zeros((count, count + 1), dtype=np.bool_)
        np.put_along_axis(matrix, self.table, True, axis=1)
        matrix[list(self.full)] = True
        return matrix[:, :count]


@dataclass(frozen=True, eq=False)
class KeyTable(Expr):
    """Query i reads the keys `table[i]` (-1 pads a short row): random or selected keys, one list a token.

    A key named twice counts once, and one beyond the sequence not at all.
    """

    table: Ints

    def __post_init__(self) -> None:
        Expr.__post_init__(self)
        object.__setattr__(self, "table", np.asarray(self.table))
        _in_range("KeyTable", "key", self.table, None)

    def of_rows(self, n: int, first: int, last: int) -> Slices:
        keys = self.lists(n, first, last)
        return Slices.of(n, np.arange(first, last)[:, None], np.where(keys < 0, n, keys), keys + 1).disjoint()

    def lists(self, n: int, first: int = 0, last: int | None = None) -> Ints:
        """The keys below n of rows `first <= i < last` (all n), ascending, each once; -1 elsewhere: `[rows, k]`."""
        if len(self.table) < n:
            raise AttnprofError(f"KeyTable has {len(self.table)} rows for {n} tokens", hint="one row a query")
        table = np.sort(self.table[first : n if last is None else last], axis=1)
        again = np.zeros(table.shape, dtype=np.bool_)
        again[:, 1:] = table[:, 1:] == table[:, :-1]
        table[again | (table >= n)] = -1
        return table


@dataclass(frozen=True, eq=False)
class Explicit(Expr):
    """Edges given as slices: a captured mask, a CSR file, a tabulated rule, a drawn sample; each counts once."""

    given: Slices

    def slices(self, n: int) -> Slices:
        return _square("Explicit", self.given, n)


@dataclass(frozen=True, eq=False)
class Drawn(Expr):
    """A random sample of edges, drawn when somebody asks for it: `draw()` gives its slices, `count()` their number."""

    draw: Callable[[], Slices]
    count: Callable[[], int] | None = None

    def slices(self, n: int) -> Slices:
        return _square("Drawn", _asked("draw", self.draw), n)

    def edges(self, n: int) -> int:
        return self.slices(n).edges if self.count is None else _asked("count", self.count)


def _asked(name: str, call: Callable[[], R]) -> R:
    """What a function of a `Drawn` gives; its mistakes as one clear error."""
    try:
        return call()
    except AttnprofError:
        raise
    except Exception as error:
        raise AttnprofError(
            f"the {name} of a Drawn pattern fails: {type(error).__name__}: {error}",
            hint="it takes nothing; `draw` returns Slices, `count` an integer",
        ) from error


def _square(kind: str, given: Slices, n: int) -> Slices:
    """The slices with no edge named twice. Raises `AttnprofError` where they are of another length."""
    if (given.n, given.m) != (n, n):
        raise AttnprofError(
            f"{kind} holds {given.n} queries over {given.m} keys, not {n} of each", hint=f"make its slices for n = {n}"
        )
    return given.disjoint()


def _in_range(kind: str, what: str, table: Ints, count: int | None, least: int = -1) -> None:
    """Raise `AttnprofError` where a table names what there is not."""
    low, high = (int(table.min(initial=least)), int(table.max(initial=-1)))
    if low < least or (count is not None and high >= count):
        wrong = low if low < least else high
        top = "" if count is None else f" to {count - 1}"
        pads = ", or -1 for none" if least < 0 else ""
        raise AttnprofError(f"{kind} names the {what} {wrong}", hint=f"0{top}{pads}")
