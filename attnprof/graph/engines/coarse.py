"""Blocks inside the range-OR: keys between two neighbouring slice ends are read together, or not at all.

Where the slices of a relation begin and end at few tokens, and neighbouring rows hold the same slices, one OR for each
segment of keys and one search over groups of rows replace a search over tokens. Unlike the block quotient this asks
nothing of other layers, of self-loops or of equal block sizes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from attnprof.graph.engines.bits import Planner, PushPlan, Words
from attnprof.pattern import Slices
from attnprof.pattern.slices import Ints

WORTH = 8
"""Tokens to a segment and rows to a group, on average, from which this pays."""


@dataclass(frozen=True, eq=False)
class Coarse:
    """Slices over segments: `segments` are their first keys, `stop` ends the last, `group [n]` is each row's group."""

    slices: Slices
    segments: Ints
    stop: int
    group: Ints

    def plan(self, planner: Planner) -> PushPlan:
        """The plan of the tokens by that of the groups."""
        groups = planner(self.slices)

        def into(source: Words, out: Words) -> None:
            parts = np.bitwise_or.reduceat(source[: self.stop], self.segments, axis=0)
            read = np.zeros((self.slices.n, source.shape[1]), dtype=np.uint64)
            groups(parts, read)
            np.bitwise_or(out, read.take(self.group, axis=0), out=out)

        return into


def coarse(slices: Slices) -> Coarse | None:
    """The relation over segments of keys and groups of rows; None where it would save little."""
    if len(slices.row) == 0 or bool((slices.step > 1).any()):
        return None
    ends = np.unique(np.concatenate([slices.start, slices.stop]))
    if len(ends) * WORTH > slices.m:
        return None
    differs = _differs(slices)
    group = np.cumsum(differs) - 1
    if (int(group[-1]) + 1) * WORTH > slices.n:
        return None
    kept = slices.take(differs[slices.row])
    start, stop = np.searchsorted(ends, kept.start), np.searchsorted(ends, kept.stop)
    grouped = Slices.of(int(group[-1]) + 1, group[kept.row], start, stop, m=len(ends) - 1)
    return Coarse(grouped, ends[:-1], int(ends[-1]), group)


def _differs(slices: Slices) -> np.ndarray:
    """Whether each row holds other slices than the row before it, `[n]`."""
    held = np.bincount(slices.row, minlength=slices.n)
    same = np.zeros(slices.n, dtype=np.bool_)
    same[1:] = held[1:] == held[:-1]
    mine = np.flatnonzero(same[slices.row])
    row = slices.row[mine]
    twin = mine - held[row]
    other = (slices.start[mine] != slices.start[twin]) | (slices.stop[mine] != slices.stop[twin])
    same[row[other]] = False
    return ~same
