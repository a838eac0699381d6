"""Edges between tokens as slices: the relation that any mask can be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attnprof.graph.pixels import Counts, Grid, pooled
from attnprof.graph.products import push
from attnprof.graph.relation import NAMED, FutureEdges, Relation, SlotWays
from attnprof.pattern import Slices
from attnprof.pattern.slices import Bools, Ints


@dataclass(frozen=True, eq=False)
class TokenEdges:
    """A relation that is its own quotient: `quotient` holds distinct edges, of any steps."""

    quotient: Slices
    size = 1
    cut = False

    @property
    def n(self) -> int:
        return self.quotient.n

    @property
    def ways(self) -> SlotWays | None:
        return None

    @property
    def edges(self) -> int:
        return self.quotient.edges

    @property
    def stored(self) -> int:
        return len(self.quotient.row)

    @property
    def reads_future(self) -> bool:
        return bool((self.quotient.stop - 1 > self.quotient.row).any())

    @property
    def reads_past(self) -> bool:
        return bool((self.quotient.start < self.quotient.row).any())

    def future(self) -> FutureEdges:
        slices = self.quotient
        skipped = np.clip(-((slices.start - slices.row - 1) // slices.step), 0, slices.counts)
        later = slices.counts - skipped
        at = np.flatnonzero(later)
        at = at[np.argsort(slices.row[at], kind="stable")][:NAMED]
        keys = slices.start + skipped * slices.step
        pairs = {
            (int(slices.row[k]), int(keys[k] + more * slices.step[k]))
            for k in at.tolist()
            for more in range(min(int(later[k]), NAMED))
        }
        return FutureEdges(int(later.sum()), tuple(sorted(pairs)[:NAMED]))

    def out_degree(self) -> Ints:
        return self.quotient.out_degree()

    def in_degree(self) -> Ints:
        return self.quotient.in_degree()

    def push(self, w: NDArray) -> NDArray:
        return push(self.quotient, w)

    def pooled(self, grid: Grid) -> Counts:
        return pooled(self.quotient, grid)

    def tokens(self) -> Slices:
        return self.quotient

    def refined(self, size: int) -> Slices:
        assert size == 1, f"tokens have no blocks of {size}"
        return self.quotient

    def without(self, gone: Bools) -> Relation:
        return TokenEdges(remove(self.quotient, gone))


def remove(slices: Slices, rows: Bools, columns: Bools | None = None) -> Slices:
    """Slices without some rows and columns (the same unless given), the others renumbered in order."""
    gone = rows if columns is None else columns
    up, place = (np.concatenate([[0], np.cumsum(~each)]) for each in (rows, gone))
    n, m = int(up[-1]), int(place[-1])
    live = slices.take(~rows[slices.row])
    plain = live.take(live.step == 1)
    kept = Slices.of(n, up[plain.row], place[plain.start], place[plain.stop], m=m)
    if bool((live.step == 1).all()):
        return kept
    wide = live.take(live.step > 1)
    first, end = int(np.argmin(gone)), len(gone) - int(np.argmin(gone[::-1]))
    if not gone[first:end].any():
        skipped = np.maximum(0, -((wide.start - first) // wide.step)) * wide.step
        start, stop = wide.start + skipped - first, np.minimum(wide.stop, end) - first
        return kept.joined(Slices.of(n, up[wide.row], start, stop, wide.step, m))
    row, key = np.repeat(wide.row, wide.counts), wide.csr()[1]
    stays = ~gone[key]
    return kept.joined(Slices.from_pairs(n, up[row[stays]], place[key[stays]], m))
