"""The shapes that published patterns are made of. Each says its rule in one line; positions start at 0."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from attnprof.errors import AttnprofError
from attnprof.pattern.expr import AsArray, Expr, Globals, lags_of
from attnprof.pattern.slices import Bools, Ints, Slices


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

    def rule(self, i: Ints, j: Ints, asarray: AsArray = np.asarray) -> Bools:
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

    def rule(self, i: Ints, j: Ints, asarray: AsArray = np.asarray) -> Bools:
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

    def rule(self, i: Ints, j: Ints, asarray: AsArray = np.asarray) -> Bools:
        same: Bools = (i - j) % self.stride == 0
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

    def rule(self, i: Ints, j: Ints, asarray: AsArray = np.asarray) -> Bools:
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
        i = np.arange(first, last)[:, None]
        ahead = i + 1 if self.causal else n
        if n // self.stride < 2 * (self.last - self.first):  # long columns side by side: a run for each block
            block = np.arange(0, n, self.stride)
            return Slices.of(n, i, block + self.first, np.minimum(block + self.last, ahead))
        return Slices.of(n, i, np.arange(self.first, self.last), ahead, self.stride)

    def rule(self, i: Ints, j: Ints, asarray: AsArray = np.asarray) -> Bools:
        place = j % self.stride
        column = (place >= self.first) & (place < self.last) & (i >= 0)
        return column & (j <= i) if self.causal else column

    def declares(self, n: int) -> Globals:
        place = np.arange(n) % self.stride
        return Globals(np.zeros(n, dtype=np.bool_), (place >= self.first) & (place < self.last))


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

    def rule(self, i: Ints, j: Ints, asarray: AsArray = np.asarray) -> Bools:
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

    def rule(self, i: Ints, j: Ints, asarray: AsArray = np.asarray) -> Bools:
        row = (i >= self.first) & (i < self.last) & self.rows
        column = (j >= self.first) & (j < self.last) & self.columns
        return (row | column) & (j <= i) if self.causal else row | column

    def declares(self, n: int) -> Globals:
        named = (np.arange(n) >= self.first) & (np.arange(n) < self.last)
        return Globals(named & self.rows, named & self.columns)


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

    def rule(self, i: Ints, j: Ints, asarray: AsArray = np.asarray) -> Bools:
        shift = self.window - self.shift % self.window
        row: Bools = (i // self.width + shift) // self.window == (j // self.width + shift) // self.window
        column: Bools = (i % self.width + shift) // self.window == (j % self.width + shift) // self.window
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

    def rule(self, i: Ints, j: Ints, asarray: AsArray = np.asarray) -> Bools:
        same = (i >= 0) & (j >= 0)
        for bound in self.bounds:
            same = same & ((i >= bound) == (j >= bound))
        return same & (j <= i) if self.causal else same
