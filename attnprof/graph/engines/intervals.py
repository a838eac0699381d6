"""Interval lists: each row of the reach as sorted disjoint intervals, so that pairs are counted but never made.

Right for windows, sinks and other masks whose reach stays in few pieces; it gives up where rows fall to fragments.
"""

from __future__ import annotations

import numpy as np

from attnprof.graph.layered import LayeredRelation
from attnprof.graph.pixels import pooled
from attnprof.graph.reach import Reach, ReachRequest, ReachTally, kept
from attnprof.pattern import Slices
from attnprof.pattern.slices import Ints

MOST_PIECES = 8

IntervalRows = Slices
"""Rows of the reach: step 1, disjoint, sorted."""


def run(stack: LayeredRelation, ask: ReachRequest, most: int = MOST_PIECES) -> Reach | None:
    """The answer, or None once rows have more than `most` pieces on average."""
    if stack.plain is None or any(bool((kind.step != 1).any()) for kind in stack.plain):
        return None
    n = stack.n
    tally = ReachTally(stack, ask.grid(n))
    every = np.arange(n)
    reached = Slices.of(n, every, every, every + 1)
    counts = reached.out_degree()
    out, into = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
    idle, layer = 0, 0
    while idle < stack.period and tally.total < stack.pairs and (ask.layers is None or layer < ask.layers):
        layer += 1
        grown = compose(stack.plain[(layer - 1) % stack.period], reached, most)
        if grown is None or len(grown.row) > most * n:
            return None
        now = grown.out_degree()
        out[now > counts] = layer
        into[grown.in_degree() > reached.in_degree()] = layer
        image = pooled(grown, tally.grid) if tally.grid is not None and kept(layer) else None
        idle = 0 if tally.add(layer, now, image) else idle + 1
        reached, counts = grown, now
    closed = idle >= stack.period or tally.total == stack.pairs
    return tally.result(out, into, closed, counts)


def compose(first: Slices, reached: IntervalRows, most: int = MOST_PIECES) -> IntervalRows | None:
    """What each query reaches through one more layer: its own row, and the rows of all keys that it reads.

    None once an intermediate result has more than `4 * most` pieces a row.
    """
    n, m = first.n, reached.m
    counts = first.counts
    level = np.frexp(counts.astype(np.float64))[1] - 1
    parts = [(reached.row, reached.start, reached.stop)]
    runs = reached
    for at in range(int(level.max(initial=-1)) + 1):
        mine = level == at
        row, low = first.row[mine], first.start[mine]
        high = low + counts[mine] - (1 << at)
        parts += [_gathered(runs, row, low), _gathered(runs, row[high != low], high[high != low])]
        runs = _doubled(runs, 1 << at)
        if sum(len(part[0]) for part in parts) + len(runs.row) > 4 * most * n:
            return None
    row, start, stop = (np.concatenate(column) for column in zip(*parts, strict=True))
    return merged(n, m, row, start, stop)


def _gathered(runs: IntervalRows, row: Ints, at: Ints) -> tuple[Ints, Ints, Ints]:
    """The intervals of the rows `at`, as intervals of the rows `row`."""
    first = np.searchsorted(runs.row, np.arange(runs.n + 1))
    size = np.diff(first)[at]
    where = np.repeat(first[at] - (np.cumsum(size) - size), size) + np.arange(int(size.sum()))
    return np.repeat(row, size), runs.start[where], runs.stop[where]


def _doubled(runs: IntervalRows, by: int) -> IntervalRows:
    """Row i becomes the union of rows i and i + by."""
    later = np.searchsorted(runs.row, by)
    row = np.concatenate([runs.row, runs.row[later:] - by])
    start, stop = (np.concatenate([column, column[later:]]) for column in (runs.start, runs.stop))
    return merged(runs.n, runs.m, row, start, stop)


def merged(n: int, m: int, row: Ints, start: Ints, stop: Ints) -> IntervalRows:
    """Intervals as rows: sorted, touching ones joined."""
    span = m + 2
    key = row * span + start
    order = np.argsort(key, kind="stable")
    key, end = key[order], (row * span + stop)[order]
    reach = np.maximum.accumulate(end)
    opens = np.concatenate([[True], key[1:] > reach[:-1]])
    ends = np.concatenate([np.flatnonzero(opens)[1:] - 1, [len(key) - 1]])
    row, start = np.divmod(key[opens], span)
    stop = reach[ends] - row * span
    return Slices(n, m, row, start, stop, np.ones(len(row), dtype=np.int64))
