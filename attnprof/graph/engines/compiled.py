"""The loops of the bit-parallel engines compiled by numba, where the extra `attnprof[fast]` installed it.

They give the same bits as NumPy, several times sooner: eight words a row stay in one cache line, and nothing is copied.
"""

from __future__ import annotations

import importlib.util
from functools import cache
from typing import Any

import numpy as np

from attnprof.graph.engines.bits import PushPlan, Search, Words
from attnprof.graph.engines.coarse import coarse
from attnprof.graph.layered import LayeredRelation
from attnprof.pattern import Slices

WORTH = 1 << 26
"""Word operations of one layer from which loading numba pays (some 0.3 s)."""


@cache
def installed() -> bool:
    """Whether numba can be imported."""
    return importlib.util.find_spec("numba") is not None


def usable(stack: LayeredRelation, edges: bool) -> bool:
    """Whether a search of so much work, edge by edge or slice by slice, should be compiled: small ones end sooner."""
    reads = max(sum(part.edges if edges else len(part.row) for part in parts) for parts in stack.relations)
    return stack.n * reads // 64 >= WORTH and installed()


def slices_search() -> Search:
    """The search of the `slices` engine, compiled."""
    return Search(slices_plan, kernels().tally, kernels().WORDS)


def edges_search() -> Search:
    """The search of the `csr` engine, compiled."""
    return Search(edges_plan, kernels().tally, kernels().WORDS)


@cache
def kernels() -> Any:
    """The compiled functions; loads numba."""
    from attnprof.graph.engines import kernels as found

    return found


def edges_plan(slices: Slices) -> PushPlan:
    """Every edge of every row, one after the other."""
    indptr, indices = slices.csr()
    keys, run = indices.astype(np.int32), kernels().or_edges
    return lambda source, out: run(indptr, keys, source, out)


def slices_plan(slices: Slices) -> PushPlan:
    """The same plan as NumPy's, its loops compiled."""
    blocks = coarse(slices)
    return _runs_plan(slices) if blocks is None else blocks.plan(_runs_plan)


def _runs_plan(slices: Slices) -> PushPlan:
    """The slices of each step by the level of their longest run, as two runs each."""
    groups = [(step, *_by_level(slices.take(slices.step == step), step)) for step in np.unique(slices.step).tolist()]
    run = kernels().or_runs

    def into(source: Words, out: Words) -> None:
        runs = np.empty_like(source)
        for step, *arrays in groups:
            run(step, *arrays, source, runs, out)

    return into


def _by_level(slices: Slices, step: int) -> tuple[np.ndarray, ...]:
    """Rows, first and second run of each slice, sorted by level; and where each level begins."""
    level = np.frexp(slices.counts.astype(np.float64))[1].astype(np.int64) - 1
    order = np.argsort(level, kind="stable")
    high = slices.start + (slices.counts - (1 << level)) * step
    begins = np.searchsorted(level[order], np.arange(int(level.max()) + 2))
    return slices.row[order], slices.start[order], high[order], begins
