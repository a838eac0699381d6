"""Layers whose tokens meet in slots: slots read tokens, then tokens read slots; beside them edges between tokens."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attnprof.graph.products import push
from attnprof.graph.relation import NAMED, FutureEdges, SlotWays
from attnprof.graph.token_edges import TokenEdges, remove
from attnprof.pattern import Expr, Slices, Slots, Sum, Union
from attnprof.pattern.slices import Bools, Ints


@dataclass(frozen=True, eq=False)
class Slotted(TokenEdges):
    """A relation through slots, with the token edges beside them."""

    through: SlotWays

    @property
    def ways(self) -> SlotWays:
        return self.through

    @classmethod
    def of(cls, n: int, slots: list[Slots], direct: Slices) -> Slotted:
        """Several sets of slots side by side as one layer, with the token edges beside them."""
        count = sum(part.count for part in slots)
        first = np.cumsum([0] + [part.count for part in slots[:-1]])
        reads, writes = Slices.empty(count, n), Slices.empty(n, count)
        for base, part in zip(first.tolist(), slots, strict=True):
            reads = reads.joined(_moved(part.sources(n), base, 0, count, n))
            writes = writes.joined(_moved(part.writes, 0, base, n, count))
        return cls(direct, SlotWays(count, reads, writes))

    @property
    def stored(self) -> int:
        return len(self.through.reads.row) + len(self.through.writes.row) + len(self.quotient.row)

    @property
    def reads_future(self) -> bool:
        return super().reads_future or bool((self._newest() > np.arange(self.n)).any())

    @property
    def reads_past(self) -> bool:
        return True

    def future(self) -> FutureEdges:
        own, newest = super().future(), self._newest()
        late = np.flatnonzero(newest > np.arange(self.n))
        pairs = tuple((int(i), int(newest[i])) for i in late[:NAMED])
        return FutureEdges(own.count + len(late), (*own.first, *pairs)[:NAMED])

    def _newest(self) -> Ints:
        """The newest token that each query sees through slots, `[n]`, -1 for none."""
        reads, writes = self.through.reads, self.through.writes
        held = np.full(self.through.count + 1, -1, dtype=np.int64)
        np.maximum.at(held, reads.row, reads.stop - 1)
        seen = np.full(self.n, -1, dtype=np.int64)
        for step, mine in writes.by_step():
            if step == 1 and len(mine.row):
                spans = np.stack([mine.start, mine.stop], axis=1).ravel()
                np.maximum.at(seen, mine.row, np.maximum.reduceat(held, spans)[::2])
            else:
                np.maximum.at(seen, np.repeat(mine.row, mine.counts), held[mine.csr()[1]])
        return seen

    def push(self, w: NDArray) -> NDArray:
        return super().push(w) + push(self.through.reads, push(self.through.writes, w))

    def without(self, gone: Bools) -> Slotted:
        none = np.zeros(self.through.count, dtype=np.bool_)
        reads, writes = remove(self.through.reads, none, gone), remove(self.through.writes, gone, none)
        return Slotted(remove(self.quotient, gone), SlotWays(self.through.count, reads, writes))


def _moved(slices: Slices, rows: int, keys: int, n: int, m: int) -> Slices:
    return Slices.of(n, slices.row + rows, slices.start + keys, slices.stop + keys, slices.step, m)


def slots_of(expr: Expr) -> list[Slots]:
    """The sets of slots of an expression."""
    if isinstance(expr, Slots):
        return [expr]
    if isinstance(expr, (Union, Sum)):
        return [slots for part in expr.parts for slots in slots_of(part)]
    return []


def direct_of(expr: Expr) -> list[Expr]:
    """What of an expression joins tokens without slots."""
    if isinstance(expr, Slots):
        return [] if expr.direct is None else [expr.direct]
    if isinstance(expr, (Union, Sum)):
        return [piece for part in expr.parts for piece in direct_of(part)]
    return [expr]
