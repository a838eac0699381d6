"""Strided slices: the exact, compact form of who attends to whom.

A slice `(row, start, stop, step)` says that query `row` reads the keys `start, start + step, ...` below `stop`.
A published static pattern needs only a few of them a row, whatever the length.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Slices:
    """Slices of a pattern with `n` query rows and `m` key columns, sorted by row; `disjoint()` makes edges unique."""

    n: int
    m: int
    row: Ints
    start: Ints
    stop: Ints
    step: Ints

    @classmethod
    def of(cls, n: int, row: ArrayLike, start: ArrayLike, stop: ArrayLike, step: ArrayLike = 1, m: int = 0) -> Slices:
        """Slices from broadcastable arrays, clipped to the columns `[0, m)`; empty ones are dropped, rows sorted."""
        m = m or n
        parts = np.broadcast_arrays(*(np.asarray(a, dtype=np.int64) for a in (row, start, stop, step)))
        row_, start_, stop_, step_ = (p.ravel() for p in parts)
        below = np.maximum(0, -(start_ // step_)) * step_
        start_ = np.where(start_ < 0, start_ + below, start_)
        stop_ = np.minimum(stop_, m)
        keep = (start_ < stop_) & (row_ >= 0) & (row_ < n)
        row_, start_, stop_, step_ = (a[keep] for a in (row_, start_, stop_, step_))
        stop_ = start_ + ((stop_ - start_ - 1) // step_) * step_ + 1
        step_ = np.where(stop_ - start_ == 1, 1, step_)
        order = np.lexsort((start_, row_)) if _unsorted(row_, start_) else slice(None)
        return cls(n, m, row_[order], start_[order], stop_[order], step_[order])

    @classmethod
    def empty(cls, n: int, m: int = 0) -> Slices:
        """No edges at all."""
        none = np.zeros(0, dtype=np.int64)
        return cls(n, m or n, none, none, none, none)

    @classmethod
    def from_pairs(cls, n: int, row: ArrayLike, key: ArrayLike, m: int = 0) -> Slices:
        """Slices of single keys; neighbouring keys of a row are joined."""
        keys = np.asarray(key, dtype=np.int64)
        return cls.of(n, row, keys, keys + 1, 1, m).disjoint()

    @property
    def counts(self) -> Ints:
        """Keys in each slice."""
        span = self.stop - self.start
        return span if bool((self.step == 1).all()) else (span - 1) // self.step + 1

    def by_step(self) -> Iterator[tuple[int, Slices]]:
        """The slices of each step; those of one step alone as they are."""
        steps = [1] if bool((self.step == 1).all()) else np.unique(self.step).tolist()
        for step in steps:
            yield step, self if len(steps) == 1 else self.take(self.step == step)

    @property
    def edges(self) -> int:
        """Number of edges, a key that two slices of a row name counted twice."""
        return int(self.counts.sum())

    def out_degree(self) -> Ints:
        """Keys that each query reads, `[n]`."""
        return np.bincount(self.row, weights=self.counts, minlength=self.n).astype(np.int64)

    def in_degree(self) -> Ints:
        """Queries that read each key, `[m]`, by a difference array for each step."""
        total = np.zeros(self.m, dtype=np.int64)
        for step in np.unique(self.step):
            mine = self.step == step
            diff = np.zeros(self.m + 2 * int(step), dtype=np.int64)
            np.add.at(diff, self.start[mine], 1)
            np.add.at(diff, self.start[mine] + self.counts[mine] * step, -1)
            padded = np.pad(diff, (0, -len(diff) % int(step)))
            total += padded.reshape(-1, int(step)).cumsum(axis=0).ravel()[: self.m]
        return total

    def csr(self) -> tuple[Ints, Ints]:
        """`(indptr [n + 1], indices [edges])` of the adjacency matrix, row by row."""
        counts = self.counts
        first = np.cumsum(counts) - counts
        within = np.arange(int(counts.sum()), dtype=np.int64) - np.repeat(first, counts)
        indices = np.repeat(self.start, counts) + within * np.repeat(self.step, counts)
        indptr = np.concatenate([[0], np.cumsum(self.out_degree())])
        return indptr, indices

    def dense(self) -> Bools:
        """The mask `[n, m]`, True where an edge is. For small n: it takes n x m bytes."""
        indptr, indices = self.csr()
        mask = np.zeros((self.n, self.m), dtype=np.bool_)
        mask[np.repeat(np.arange(self.n), np.diff(indptr)), indices] = True
        return mask

    def take(self, keep: Bools) -> Slices:
        """The slices that `keep` selects."""
        return Slices(self.n, self.m, self.row[keep], self.start[keep], self.stop[keep], self.step[keep])

    def between(self, first: int, last: int) -> Slices:
        """The slices of the queries `first <= i < last`."""
        low, high = np.searchsorted(self.row, (first, last)).tolist()
        return Slices(self.n, self.m, *(part[low:high] for part in (self.row, self.start, self.stop, self.step)))

    def past(self) -> Slices:
        """The part that is not of the future: keys at most the query's own position."""
        return Slices.of(self.n, self.row, self.start, np.minimum(self.stop, self.row + 1), self.step, self.m)

    def joined(self, *others: Slices) -> Slices:
        """These slices and the others, edges kept with their multiplicity."""
        parts = [self, *others]
        row, start = np.concatenate([p.row for p in parts]), np.concatenate([p.start for p in parts])
        stop, step = np.concatenate([p.stop for p in parts]), np.concatenate([p.step for p in parts])
        return Slices.of(self.n, row, start, stop, step, self.m)

    def disjoint(self) -> Slices:
        """The same set of edges with none named twice (a union)."""
        steps = np.unique(self.step)
        strides = steps[steps > 1]
        if len(strides) > 1:
            return self._single_stride(strides).disjoint()
        intervals = _merge(self.take(self.step == 1))
        if len(strides) == 0:
            return intervals
        strided = _merge(self.take(self.step > 1))
        return intervals.joined(_subtract(strided, intervals))

    def _single_stride(self, strides: Ints) -> Slices:
        """The same edges in strides of one kind: a common multiple, or the most frequent one and single keys."""
        common = min(math.lcm(*strides.tolist()), 2 * self.m)
        wide, counts = self.step > 1, self.counts
        weight = {int(s): int(counts[self.step == s].sum()) for s in strides}
        kept = max(weight, key=lambda s: weight[s])
        pieces = np.where(wide, np.minimum(common // self.step, counts), 1)
        if pieces[wide].sum() <= sum(weight.values()) - weight[kept]:
            return self._split(pieces, np.where(wide, common, 1))
        return self._split(np.where(wide & (self.step != kept), counts, 1), np.where(wide, kept, 1))

    def _split(self, pieces: Ints, step: Ints) -> Slices:
        """Each slice in that many pieces, one from each of its first keys on, of the new step."""
        row, start, stop, old, new = (np.repeat(a, pieces) for a in (self.row, self.start, self.stop, self.step, step))
        within = np.arange(len(row)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
        start = start + within * old
        stop = np.where(np.repeat(pieces == self.counts, pieces), start + 1, stop)
        return Slices.of(self.n, row, start, stop, new, self.m)


def _unsorted(row: Ints, start: Ints) -> bool:
    if len(row) < 2:
        return False
    ahead = (row[1:] > row[:-1]) | ((row[1:] == row[:-1]) & (start[1:] >= start[:-1]))
    return not bool(ahead.all())


def _merge(slices: Slices) -> Slices:
    """Join overlapping or touching slices of one common step within each (row, residue)."""
    if len(slices.row) == 0:
        return slices
    step = int(slices.step[0])
    residue = slices.start % step
    low, high = slices.start // step, slices.start // step + slices.counts
    order = np.lexsort((low, residue, slices.row))
    row, residue, low, high = slices.row[order], residue[order], low[order], high[order]
    group = np.cumsum(np.concatenate([[0], (np.diff(row) != 0) | (np.diff(residue) != 0)]))
    span = int(high.max()) + 2
    reach = np.maximum.accumulate(high + group * span) - group * span
    opens = np.concatenate([[True], (np.diff(group) != 0) | (low[1:] > reach[:-1])])
    ends = np.concatenate([np.flatnonzero(opens)[1:] - 1, [len(low) - 1]])
    row, residue, low, high = row[opens], residue[opens], low[opens], reach[ends]
    return Slices.of(slices.n, row, low * step + residue, (high - 1) * step + residue + 1, step, slices.m)


def _subtract(strided: Slices, intervals: Slices) -> Slices:
    """Strided slices without the keys that lie in disjoint, row-sorted intervals."""
    first = np.searchsorted(intervals.row, np.arange(strided.n + 1))
    row, start, stop, step = strided.row, strided.start, strided.stop, strided.step
    done: list[Slices] = []
    rank = 0
    while len(row):
        at = first[row] + rank
        has = at < first[row + 1]
        done.append(Slices.of(strided.n, row[~has], start[~has], stop[~has], step[~has], strided.m))
        row, start, stop, step, at = row[has], start[has], stop[has], step[has], at[has]
        low, high = intervals.start[at], intervals.stop[at]
        done.append(Slices.of(strided.n, row, start, np.minimum(stop, low), step, strided.m))
        skipped = np.maximum(0, -((start - high) // step))
        start = start + skipped * step
        live = start < stop
        row, start, stop, step = row[live], start[live], stop[live], step[live]
        rank += 1
    return Slices.empty(strided.n, strided.m).joined(*done)
