"""The loops of the bit-parallel engines compiled by numba, where the extra `attnprof[fast]` installed it.

They give the same bits as NumPy, several times sooner: eight words a row stay in one cache line, and nothing is copied.
Importing this loads numba, which takes some 0.3 s: it is imported where that pays.
"""

from __future__ import annotations

import numba
import numpy as np

from attnprof.graph.engines.bits import PushPlan, Search, Words
from attnprof.graph.engines.by_slices import coarse
from attnprof.pattern import Slices
from attnprof.pattern.slices import Ints

ODD = np.uint64(0x5555555555555555)
PAIRS = np.uint64(0x3333333333333333)
NIBBLES = np.uint64(0x0F0F0F0F0F0F0F0F)
WORDS = 8  # known when compiled: a row is one vector
BYTES = np.uint64(0x0101010101010101)


@numba.njit(nogil=True, cache=True)
def or_edges(indptr: Ints, keys: np.ndarray, source: Words, out: Words) -> None:
    """OR into each row of `out` the rows of `source` that it reads."""
    for row in range(len(indptr) - 1):
        for at in range(indptr[row], indptr[row + 1]):
            key = keys[at]
            for word in range(WORDS):
                out[row, word] |= source[key, word]


@numba.njit(nogil=True, cache=True)
def or_runs(step: int, rows: Ints, low: Ints, high: Ints, begins: Ints, source: Words, runs: Words, out: Words) -> None:
    """The same by runs that double from level to level: `runs[i]` is the OR of 2^level rows from i on, a step apart."""
    runs[:] = source
    levels = len(begins) - 1
    for level in range(levels):
        for at in range(begins[level], begins[level + 1]):
            row, first, second = rows[at], low[at], high[at]
            for word in range(WORDS):
                out[row, word] |= runs[first, word] | runs[second, word]
        if level + 1 < levels:
            shift = step << level
            for row in range(len(runs) - shift):
                for word in range(WORDS):
                    runs[row, word] |= runs[row + shift, word]


@numba.njit(nogil=True, cache=True)
def tally(state: Words, grown: Words, pops: np.ndarray, counts: np.ndarray, touched: Words) -> int:
    """Leave in `state` the bits that are new in `grown`, count them by word and row, and say which bits any row got."""
    total = 0
    for row in range(state.shape[0]):
        mine = np.uint32(0)
        for word in range(WORDS):
            fresh = grown[row, word] ^ state[row, word]
            state[row, word] = fresh
            touched[word] |= fresh
            half = fresh - ((fresh >> np.uint64(1)) & ODD)
            half = (half & PAIRS) + ((half >> np.uint64(2)) & PAIRS)
            half = (half + (half >> np.uint64(4))) & NIBBLES
            count = np.uint32((half * BYTES) >> np.uint64(56))
            pops[row, word] = count
            mine += count
        counts[row] += mine
        total += mine
    return int(total)


def slices_search() -> Search:
    """The search of the `slices` engine, compiled."""
    return Search(slices_plan, tally, WORDS)


def edges_search() -> Search:
    """The search of the `csr` engine, compiled."""
    return Search(edges_plan, tally, WORDS)


def edges_plan(slices: Slices) -> PushPlan:
    """Every edge of every row, one after the other."""
    indptr, indices = slices.csr()
    keys = indices.astype(np.int32)
    return lambda source, out: or_edges(indptr, keys, source, out)


def slices_plan(slices: Slices) -> PushPlan:
    """The same plan as NumPy's, its loops compiled."""
    blocks = coarse(slices)
    return _runs_plan(slices) if blocks is None else blocks.plan(_runs_plan)


def _runs_plan(slices: Slices) -> PushPlan:
    """The slices of each step by the level of their longest run, as two runs each."""
    groups = [(step, _by_level(mine, step)) for step, mine in slices.by_step() if len(mine.row)]

    def into(source: Words, out: Words) -> None:
        runs = np.empty_like(source)
        for step, (rows, low, high, begins) in groups:
            or_runs(step, rows, low, high, begins, source, runs, out)

    return into


def _by_level(slices: Slices, step: int) -> tuple[Ints, Ints, Ints, Ints]:
    """Rows, first and second run of each slice, sorted by level; and where each level begins."""
    level = np.frexp(slices.counts.astype(np.float64))[1].astype(np.int64) - 1
    order = np.argsort(level, kind="stable")
    high = slices.start + (slices.counts - (1 << level)) * step
    begins = np.searchsorted(level[order], np.arange(int(level.max()) + 2))
    return slices.row[order], slices.start[order], high[order], begins
