"""Causal windows with sinks: a sink is read by all and reads nobody new, so it shortens no path but its own."""

from __future__ import annotations

import numpy as np

from attnprof.graph.layered import LayeredRelation
from attnprof.graph.pixels import pooled
from attnprof.graph.reach import Reach, ReachRequest, ReachTally, kept
from attnprof.pattern import Slices
from attnprof.pattern.slices import Ints


def run(stack: LayeredRelation, ask: ReachRequest) -> Reach | None:
    """The closed form for causal bands with the same first tokens visible to all; None for any other stack."""
    if stack.plain is None or not stack.causal:
        return None
    found = [sinks_of(kind) for kind in stack.plain]
    shapes = [shape for shape in found if shape is not None]
    if len(shapes) < len(found) or len({sinks for sinks, _ in shapes}) != 1:
        return None
    if not any(before for _, before in shapes):
        return None
    return _answer(stack, shapes[0][0], [before for _, before in shapes], ask)


def sinks_of(slices: Slices) -> tuple[int, int] | None:
    """`(sinks, before)` where query i reads the first tokens and i - before, ..., i, nothing else."""
    n = slices.n
    last = slices.row == n - 1
    if int(last.sum()) != 2:
        return None
    first, second = slices.take(last).start.tolist()
    sinks, before = int(slices.stop[last][0]), n - 1 - second
    expected = windows(n, sinks, before)
    same = first == 0 and len(expected.row) == len(slices.row)
    names = ("row", "start", "stop", "step")
    return (sinks, before) if same and all((getattr(expected, a) == getattr(slices, a)).all() for a in names) else None


def windows(n: int, sinks: int, before: int) -> Slices:
    """The slices of a causal window of `before` + 1 keys and the first `sinks` tokens."""
    i = np.arange(n)
    low = np.maximum(i - before, 0)
    apart = low > sinks
    row = np.concatenate([i[apart], i])
    start = np.concatenate([np.zeros(int(apart.sum()), dtype=np.int64), np.where(apart, low, 0)])
    stop = np.concatenate([np.full(int(apart.sum()), sinks), i + 1])
    return Slices.of(n, row, start, stop)


def _answer(stack: LayeredRelation, sinks: int, befores: list[int], ask: ReachRequest) -> Reach:
    n = stack.n
    i = np.arange(n)
    tally = ReachTally(stack, ask.grid(n))
    extent = [0]
    counts: Ints = np.ones(n, dtype=np.int64)
    while tally.total < stack.pairs and (ask.layers is None or len(extent) <= ask.layers):
        extent.append(extent[-1] + befores[(len(extent) - 1) % len(befores)])
        counts = np.minimum(i, extent[-1] + sinks) + 1
        layer = len(extent) - 1
        grid = tally.grid if kept(layer) else None
        tally.add(layer, counts, pooled(windows(n, sinks, extent[-1]), grid) if grid else None)
    hops = np.minimum(np.searchsorted(extent, i), len(extent) - 1)
    out = np.maximum(hops[np.maximum(i - sinks, 0)], i > 0)
    into = np.where(i < sinks, (i < n - 1) * 1, hops[::-1])
    return tally.result(out, into, tally.total == stack.pairs, counts)
