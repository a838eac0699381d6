"""Causal Toeplitz masks: d(i, j) depends on i - j alone, so one search over lags answers all pairs.

Every shortest path from i down to j stays between them, so the ends of the sequence never matter.
"""

from __future__ import annotations

import numpy as np

from attnprof.graph.layered import LayeredRelation
from attnprof.graph.pixels import lag_image
from attnprof.graph.reach import Reach, ReachRequest, ReachTally, kept
from attnprof.graph.structure import lags_of
from attnprof.pattern import Slices
from attnprof.pattern.slices import Bools, Ints


def run(stack: LayeredRelation, ask: ReachRequest) -> Reach | None:
    """The answer for stacks whose every layer is causal and Toeplitz; None for any other."""
    if stack.plain is None or not stack.causal:
        return None
    lags = [lags_of(kind) for kind in stack.plain]
    found = [lag for lag in lags if lag is not None]
    return _search(stack, found, ask) if len(found) == len(lags) else None


def _search(stack: LayeredRelation, lags: list[Slices], ask: ReachRequest) -> Reach:
    n, grid = stack.n, ask.grid(stack.n)
    tally = ReachTally(stack, grid)
    hop = np.full(n, -1, dtype=np.int64)
    hop[0] = 0
    reached = hop == 0
    idle, layer = 0, 0
    while idle < stack.period and (ask.layers is None or layer < ask.layers) and not reached.all():
        layer += 1
        grown = reached | step(reached, lags[(layer - 1) % stack.period])
        hop[grown & ~reached] = layer
        idle = 0 if int(grown.sum()) > int(reached.sum()) else idle + 1
        reached = grown
        tally.add(layer, np.cumsum(reached), lag_image(grid, reached, None) if grid and kept(layer) else None)
    farthest = np.maximum.accumulate(hop)
    closed = idle >= stack.period or bool(reached.all())
    return tally.result(farthest, farthest[::-1].copy(), closed, np.cumsum(reached))


def step(reached: Bools, lags: Slices) -> Bools:
    """Lags that one more layer reaches from those reached: sums of a reached lag and a lag of the layer."""
    n = len(reached)
    grown = np.zeros(n, dtype=np.bool_)
    for stride in np.unique(lags.step).tolist():
        mine = lags.take(lags.step == stride)
        runs = _running(reached, stride)
        for low, high in zip(mine.start.tolist(), (mine.stop - 1).tolist(), strict=True):
            upto = runs[stride : n - low + stride]
            grown[low:] |= upto > _delayed(runs, high - low, len(upto))
    return grown


def _running(reached: Bools, stride: int) -> Ints:
    """`runs[t + stride]` counts reached lags among t, t - stride, ...; zeros before."""
    padded = np.pad(reached.astype(np.int32), (stride, -len(reached) % stride))
    return padded.reshape(-1, stride).cumsum(axis=0, dtype=np.int32).ravel()


def _delayed(runs: Ints, by: int, length: int) -> Ints:
    """The running count just before the window of the last `by` lags and one."""
    if by >= length:
        return np.zeros(length, dtype=runs.dtype)
    return np.concatenate([np.zeros(by, dtype=runs.dtype), runs[: length - by]])
