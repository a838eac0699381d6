"""The shapes that published patterns are made of. Each says its rule in one line; positions start at 0."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from attnprof.errors import AttnprofError
from attnprof.pattern.expr import AsArray, Expr, Reader, lags_of
from attnprof.pattern.slices import Bools, Ints, Slices

R = TypeVar("R")


def lag_rule(expr: Expr, n: int) -> Bools:
    """The rule of a kind that knows the lag i - j alone, at every lag of length n."""
    lags = lags_of(n)
    return np.asarray(expr.rule(np.maximum(lags, 0), np.maximum(-lags, 0)), dtype=np.bool_)


@dataclass(frozen=True)
class Dense(Expr):
    """Every pair; under `causal`, j <= i."""

    causal: bool = False

    def of_rows(self, n: int, first: int, last: int) -> Slices:
        i = np.arange(first, last)
        return Slices.of(n, i, 0, i + 1 if self.causal else n)

    def by_lag(self, n: int) -> Bools:
        return lag_rule(self, n)

    def rule(self, i: Any, j: Any, asarray: AsArray = np.asarray) -> Any:
        return (j <= i) & (j >= 0) if self.causal else (i >= 0) & (j >= 0)


@dataclass(frozen=True)
class Band(Expr):
    """j = i + k * dilation for -before <= k <= after: a sliding window, dilated if `dilation` > 1."""

    before: int
    after: int = 0
    dilation: int = 1

    def of_rows(self, n: int, first: int, last: int) -> Slices:
        i, step = np.arange(first, last), self.dilation
        return Slices.of(n, i, i - self.before * step, i + self.after * step + 1, step)

    def by_lag(self, n: int) -> Bools:
        return lag_rule(self, n)

    def rule(self, i: Any, j: Any, asarray: AsArray = np.asarray) -> Any:
        lag = i - j
        inside = (lag <= self.before * self.dilation) & (-lag <= self.after * self.dilation)
        return inside & (lag % self.dilation == 0) if self.dilation > 1 else inside


@dataclass(frozen=True)
class Strided(Expr):
    """(i - j) mod stride = 0: every `stride`-th key, of the past only under `causal`."""

    stride: int
    causal: bool = False

    def of_rows(self, n: int, first: int, last: int) -> Slices:
        i = np.arange(first, last)
        return Slices.of(n, i, i % self.stride, i + 1 if self.causal else n, self.stride)

    def by_lag(self, n: int) -> Bools:
        return lag_rule(self, n)

    def rule(self, i: Any, j: Any, asarray: AsArray = np.asarray) -> Any:
        same = (i - j) % self.stride == 0
        return same & (j <= i) if self.causal else same


@dataclass(frozen=True)
class Offsets(Expr):
    """i - j is one of `lags` (a negative lag reads the future)."""

    lags: tuple[int, ...]

    def of_rows(self, n: int, first: int, last: int) -> Slices:
        i = np.arange(first, last)[:, None]
        keys = i - np.unique(np.asarray(self.lags, dtype=np.int64))
        return Slices.of(n, i, keys, keys + 1).disjoint()

    def by_lag(self, n: int) -> Bools:
        return np.isin(lags_of(n), np.asarray(self.lags, dtype=np.int64))

    def rule(self, i: Any, j: Any, asarray: AsArray = np.asarray) -> Any:
        found = (i - j) > (i - j)  # nothing, in the shape of the pairs
        for lag in self.lags:
            found = found | ((i - j) == lag)
        return found


@dataclass(frozen=True)
class Summary(Expr):
    """j mod stride in [first, last): summary columns of each stride block, of the past only under `causal`.

    `0 <= first` and `last <= stride`; there are none where `last <= first`.
    """

    stride: int
    first: int
    last: int
    causal: bool = False

    def __post_init__(self) -> None:
        Expr.__post_init__(self)
        if self.first < 0 or self.last > self.stride:
            raise AttnprofError(
                f"Summary has the columns {self.first} to {self.last} of a stride of {self.stride}",
                hint=f"columns lie in [0, {self.stride}): 0 <= first, last <= {self.stride}",
            )

    def of_rows(self, n: int, first: int, last: int) -> Slices:
        columns = np.arange(self.first, self.last)
        i = np.arange(first, last)[:, None]
        return Slices.of(n, i, columns, i + 1 if self.causal else n, self.stride)

    def rule(self, i: Any, j: Any, asarray: AsArray = np.asarray) -> Any:
        place = j % self.stride
        column = (place >= self.first) & (place < self.last) & (i >= 0)
        return column & (j <= i) if self.causal else column


@dataclass(frozen=True)
class Blocks(Expr):
    """floor(j/size) - floor(i/size) in [-before, after]: the own block and its neighbours; causal adds j <= i."""

    size: int
    before: int = 0
    after: int = 0
    causal: bool = False

    def of_rows(self, n: int, first: int, last: int) -> Slices:
        i = np.arange(first, last)
        start = (i // self.size - self.before) * self.size
        stop = (i // self.size + self.after + 1) * self.size
        return Slices.of(n, i, start, np.minimum(stop, i + 1) if self.causal else stop)

    def rule(self, i: Any, j: Any, asarray: AsArray = np.asarray) -> Any:
        ahead = j // self.size - i // self.size
        near = (ahead >= -self.before) & (ahead <= self.after)
        return near & (j <= i) if self.causal else near


@dataclass(frozen=True)
class Global(Expr):
    """Tokens `first <= t < last` that all read (`columns`) and that read all (`rows`); causal adds j <= i.

    There may be none of them: `Global(0)`, or tokens beyond the sequence.
    """

    last: int
    first: int = 0
    rows: bool = True
    columns: bool = True
    causal: bool = False

    def of_rows(self, n: int, first: int, last: int) -> Slices:
        i = np.arange(first, last)
        full = (i >= self.first) & (i < self.last) & self.rows
        empty = ~full & (not self.columns)
        start = np.where(full, 0, self.first)
        stop = np.where(empty, 0, np.where(full, n, self.last))
        return Slices.of(n, i, start, np.minimum(stop, i + 1) if self.causal else stop)

    def rule(self, i: Any, j: Any, asarray: AsArray = np.asarray) -> Any:
        row = (i >= self.first) & (i < self.last) & self.rows
        column = (j >= self.first) & (j < self.last) & self.columns
        return (row | column) & (j <= i) if self.causal else row | column


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

    def rule(self, i: Any, j: Any, asarray: AsArray = np.asarray) -> Any:
        read = asarray(self._matrix())[i // self.size, j // self.size]
        return read & (j <= i) if self.causal else read

    def bound(self, asarray: AsArray) -> Callable[[Any, Any], Any]:
        read, size, causal = asarray(self._matrix()), self.size, self.causal
        return lambda i, j: read[i // size, j // size] & (j <= i) if causal else read[i // size, j // size]

    def _matrix(self) -> np.ndarray:
        count = len(self.table)
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


@dataclass(frozen=True)
class GridWindows(Expr):
    """Windows of `window` x `window` tokens on a grid of that `width`, rolled by `shift`; wrapped parts stay apart."""

    width: int
    window: int
    shift: int = 0

    def of_rows(self, n: int, first: int, last: int) -> Slices:
        height = -(-n // self.width)
        i = np.arange(first, last)
        top, bottom = self._piece(i // self.width, height)
        left, right = self._piece(i % self.width, self.width)
        rows = top[:, None] + np.arange(self.window)
        start = np.where(rows < bottom[:, None], rows * self.width + left[:, None], n)
        return Slices.of(n, i[:, None], start, start + (right - left)[:, None])

    def _piece(self, at: Ints, side: int) -> tuple[Ints, Ints]:
        """First and last-but-one coordinate of the window that `at` lies in, cut at the border of the grid."""
        first = (at - self.shift % self.window) // self.window * self.window + self.shift % self.window
        return np.maximum(first, 0), np.minimum(first + self.window, side)

    def rule(self, i: Any, j: Any, asarray: AsArray = np.asarray) -> Any:
        shift = self.window - self.shift % self.window
        row = (i // self.width + shift) // self.window == (j // self.width + shift) // self.window
        column = (i % self.width + shift) // self.window == (j % self.width + shift) // self.window
        return row & column


@dataclass(frozen=True)
class Segments(Expr):
    """Tokens of one segment read each other; causal adds j <= i.

    `bounds` are the positions at which a new segment begins, ascending; one begins at 0 whether it is named or not, so
    that `(5, 10)` and `(0, 5, 10)` are the same three. Those beyond the sequence begin nothing.
    """

    bounds: tuple[int, ...]
    causal: bool = False

    def __post_init__(self) -> None:
        if any(bound < 0 for bound in self.bounds) or list(self.bounds) != sorted(self.bounds):
            raise AttnprofError(
                f"Segments has the bounds {self.bounds}, which do not rise from 0",
                hint=f"positions in ascending order: {tuple(sorted({max(bound, 0) for bound in self.bounds}))}",
            )

    def of_rows(self, n: int, first: int, last: int) -> Slices:
        i = np.arange(first, last)
        edges = np.unique([0, *(bound for bound in self.bounds if bound < n), n])
        at = np.searchsorted(edges, i, side="right") - 1
        stop = edges[at + 1]
        return Slices.of(n, i, edges[at], np.minimum(stop, i + 1) if self.causal else stop)

    def rule(self, i: Any, j: Any, asarray: AsArray = np.asarray) -> Any:
        same = (i >= 0) & (j >= 0)
        for bound in self.bounds:
            same = same & ((i >= bound) == (j >= bound))
        return same & (j <= i) if self.causal else same


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
