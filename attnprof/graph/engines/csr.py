"""Bit-parallel reach edge by edge over CSR rows: the fallback for masks without structure, and the other opinion."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np

from attnprof.graph.engines.bits import PushPlan, Words, search, to_reach, worth_compiling
from attnprof.graph.layered import LayeredRelation
from attnprof.graph.reach import Reach, ReachRequest
from attnprof.pattern import Slices

GATHER = 1 << 21


def run(stack: LayeredRelation, ask: ReachRequest) -> Reach:
    """The exact answer for any stack; time grows with the number of edges."""
    if not worth_compiling(stack, edges=True):
        return to_reach(stack, ask, search(stack, ask, plan))
    from attnprof.graph.engines import compiled

    reach = to_reach(stack, ask, search(stack, ask, compiled.edges_search()))
    return replace(reach, engine="csr (numba)")


def plan(slices: Slices) -> PushPlan:
    """The segmented OR over the keys of each row, in batches of rows that bound the memory."""
    indptr, indices = slices.csr()
    rows = np.flatnonzero(np.diff(indptr))
    starts = indptr[rows]
    indices = indices.astype(np.int32)
    cuts = [*np.searchsorted(starts, np.arange(0, len(indices), GATHER)).tolist(), len(rows)]
    batches = [(first, last) for first, last in itertools.pairwise(cuts) if first < last]

    def into(source: Words, out: Words) -> None:
        for first, last in batches:
            low, high = int(starts[first]), int(indptr[rows[last - 1] + 1])
            read = source.take(indices[low:high], axis=0)
            out[rows[first:last]] |= np.bitwise_or.reduceat(read, starts[first:last] - low, axis=0)

    return into
