"""Uniform attention of a layer as a walk over tokens: every head spreads evenly over its keys, the heads are averaged.

One layer is mean_h D_h^-1 A_h. That is not the walk on the union of the heads: a key that one head of eight alone
reads weighs an eighth of what that head gives it. A query without a key in a head keeps its own there, as the residual
does; a slot that reads nothing passes nothing on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attnprof.graph.relation import Relation, SlotWays, reads
from attnprof.pattern import Slices

Vectors = NDArray[np.float64]
Columns = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], Vectors]


@dataclass(frozen=True, eq=False)
class Weighted:
    """A matrix `[n, m]` as slices with a weight each; where several name an entry their weights add up.

    `single` are the slices of one key, `(row, key, weight)`; `runs` the others by step, `(row, start, end, weight)`
    with `end` one step behind the last key.
    """

    n: int
    m: int
    single: tuple[NDArray[np.int64], NDArray[np.int64], Vectors]
    runs: tuple[tuple[int, Columns], ...]

    @classmethod
    def of(cls, parts: Sequence[tuple[Slices, Vectors]]) -> Weighted:
        """The sum of some relations of one shape, row i of each times its `[n]` weight."""
        first = parts[0][0]
        columns = zip(*((s.row, s.start, s.stop, s.step) for s, _ in parts), strict=True)
        row, start, stop, step = (np.concatenate(column) for column in columns)
        weight = np.concatenate([scale[s.row] for s, scale in parts])
        counts = np.concatenate([s.counts for s, _ in parts])
        lone, end = stop - start == 1, start + counts * step
        runs = []
        for each in np.unique(step[~lone]).tolist():
            mine = (step == each) & ~lone
            runs.append((each, (row[mine], start[mine], end[mine], weight[mine])))
        return cls(first.n, first.m, (row[lone], start[lone], weight[lone]), tuple(runs))

    def push(self, w: Vectors) -> Vectors:
        """`w` times the matrix: what `w [n]` hands down to every column, `[m]`."""
        row, key, weight = self.single
        total = np.bincount(key, w[row] * weight, self.m).astype(np.float64, copy=False)  # of nothing: integers
        for step, (row, start, end, weight) in self.runs:
            length, given = -(-(self.m + step) // step) * step, w[row] * weight
            diff = np.bincount(start, given, length) - np.bincount(end, given, length)
            total += np.maximum(diff.reshape(-1, step).cumsum(axis=0).ravel()[: self.m], 0.0)
        return total


@dataclass(frozen=True, eq=False)
class Walk:
    """One layer of uniform attention over `n` tokens, as steps between blocks of `size` tokens (1: between tokens).

    `through` are the ways over slots: tokens to slots, then slots to tokens. `kept [n]` is the share of the heads in
    which a query has no key, None where all have one.
    """

    n: int
    size: int
    steps: Weighted
    through: tuple[Weighted, Weighted] | None = None
    kept: Vectors | None = None

    def down(self, weights: Vectors) -> Vectors:
        """Weights of outputs, `[k, n]`, as weights of inputs: times the walk from the left."""
        return np.stack([self._down(row) for row in weights])

    def _down(self, row: Vectors) -> Vectors:
        if self.size > 1:
            return np.repeat(self.steps.push(row.reshape(-1, self.size).sum(axis=1)), self.size)
        given = self.steps.push(row)
        if self.through is not None:
            given += self.through[1].push(self.through[0].push(row))
        return given if self.kept is None else given + self.kept * row


@dataclass(frozen=True, eq=False)
class Head:
    """What one kind of head reads, and how many heads are of that kind."""

    part: Relation
    count: int = 1


def walk_of(heads: Sequence[Head]) -> Walk:
    """The mean over the heads of a layer of their uniform walks; on blocks where all heads are made of blocks."""
    whole = sum(head.count for head in heads)
    if not all(_regular(head.part) for head in heads):
        return _of_tokens(heads, whole)
    size = math.gcd(*(head.part.size for head in heads))
    fine = [head.part.refined(size) for head in heads]
    parts = [(each, head.count / whole / (each.out_degree() * size)) for head, each in zip(heads, fine, strict=True)]
    return Walk(heads[0].part.n, size, Weighted.of(parts))


def _regular(part: Relation) -> bool:
    """Whether it has blocks, all tokens of each of which read the same, and something."""
    return part.size > 1 and not part.cut and bool(part.quotient.out_degree().all())


def _of_tokens(heads: Sequence[Head], whole: int) -> Walk:
    direct, ways, kept = [], [], np.zeros(heads[0].part.n)
    for head in heads:
        share, edges, slots = head.count / whole, head.part.tokens(), head.part.ways
        degree = reads(head.part)
        direct.append((edges, share / np.maximum(degree, 1)))
        kept += np.where(degree == 0, share, 0.0)
        if slots is not None:
            ways.append((slots, share / np.maximum(degree, 1)))
    return Walk(len(kept), 1, Weighted.of(direct), _through(ways), kept if kept.any() else None)


def _through(ways: Sequence[tuple[SlotWays, Vectors]]) -> tuple[Weighted, Weighted] | None:
    """The slots of all heads side by side: each spreads evenly over what it has read."""
    if not ways:
        return None
    count = sum(slots.count for slots, _ in ways)
    out, back, first = [], [], 0
    for slots, share in ways:
        out.append((_moved(slots.writes, 0, first, slots.writes.n, count), share))
        even = np.zeros(count)
        even[first : first + slots.count] = 1.0 / np.maximum(slots.reads.out_degree(), 1)
        back.append((_moved(slots.reads, first, 0, count, slots.reads.m), even))
        first += slots.count
    return Weighted.of(out), Weighted.of(back)


def _moved(slices: Slices, rows: int, keys: int, n: int, m: int) -> Slices:
    return Slices(n, m, slices.row + rows, slices.start + keys, slices.stop + keys, slices.step)
