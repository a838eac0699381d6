"""Closed forms: complete layers, bands, hubs, and causal windows with sinks. Nothing is searched; cost O(slices).

A hub reads all and is read by all, so that two layers reach everything. A sink is read by all and reads nobody new, so
that it shortens no path but its own.
"""

from __future__ import annotations

import numpy as np

from attnprof.graph.layered import LayeredRelation
from attnprof.graph.pixels import Grid, lag_image, pooled
from attnprof.graph.reach import Reach, ReachRequest, ReachTally, kept
from attnprof.graph.structure import BandShape, band_of, hubs_of, is_complete, self_reading
from attnprof.pattern import Slices
from attnprof.pattern.slices import Ints


def run(stack: LayeredRelation, ask: ReachRequest) -> Reach | None:
    """The answer where a formula gives it: None for any other stack."""
    if _complete(stack):
        return _one_layer(stack, ask)
    if stack.plain is None:
        return None
    bands = [band_of(kind) for kind in stack.plain]
    found = [band for band in bands if band is not None]
    if len(found) == len(bands) and len({band.dilation for band in found}) == 1:
        return _bands(stack, found, ask)
    return _hubs(stack, stack.plain, ask) or _sinks(stack, stack.plain, ask)


def _complete(stack: LayeredRelation) -> bool:
    """Whether every layer joins all allowed pairs, through edges or slots."""
    for part, edges in zip(stack.parts, stack.tokens, strict=True):
        ways = part.ways
        if ways is None and not is_complete(edges, stack.causal):
            return False
        if ways is not None:
            through = is_complete(ways.reads, False) and len(np.unique(ways.writes.row)) == stack.n
            if not through or stack.causal:
                return False
    return True


def _one_layer(stack: LayeredRelation, ask: ReachRequest) -> Reach:
    n, grid = stack.n, ask.grid(stack.n)
    tally = ReachTally(stack, grid)
    tally.add(1, stack.allowed, grid.allowed(stack.causal) if grid else None)
    farthest = np.ones(n, dtype=np.int64)
    out, into = farthest.copy(), farthest.copy()
    if stack.causal:
        out[0] = into[-1] = 0
    return tally.result(out if n > 1 else farthest * 0, into if n > 1 else farthest * 0, closed=True)


def _hubs(stack: LayeredRelation, kinds: tuple[Slices, ...], ask: ReachRequest) -> Reach | None:
    """A token that reads all and is read by all, in every layer: two layers reach everything."""
    if stack.causal or not bool(np.logical_and.reduce([hubs_of(kind) for kind in kinds]).any()):
        return None
    first, grid = with_self(kinds[0]), ask.grid(stack.n)
    degree = first.out_degree()
    tally = ReachTally(stack, grid)
    tally.add(1, degree, pooled(first, grid) if grid else None)
    if ask.layers == 1:
        return tally.result((degree > 1) * 1, (first.in_degree() > 1) * 1, closed=False)
    tally.add(2, stack.allowed, grid.allowed(False) if grid else None)
    return tally.result(2 - (degree == stack.n), 2 - (first.in_degree() == stack.n), closed=True)


def with_self(slices: Slices) -> Slices:
    """The relation with the self-loop of the residual stream on every token."""
    lacking = np.flatnonzero(~self_reading(slices))
    return slices.joined(Slices.of(slices.n, lacking, lacking, lacking + 1)) if len(lacking) else slices


def _bands(stack: LayeredRelation, kinds: list[BandShape], ask: ReachRequest) -> Reach:
    """Bands add up: after k layers a query sees the sum of the extents on either side, cut at the ends."""
    n, d = stack.n, kinds[0].dilation
    longest = (n - 1) // d
    before, after = _extents(kinds, longest, ask.layers)
    tally = ReachTally(stack, ask.grid(n))
    left, right = np.arange(n) // d, np.arange(n)[::-1] // d
    counts = np.ones(n, dtype=np.int64)
    for layer in range(1, len(before)):
        b, a = before[layer], after[layer]
        if kept(layer) or layer == len(before) - 1:
            counts = np.minimum(left, b) + np.minimum(right, a) + 1
            tally.add(layer, counts, _band_image(tally.grid, b, a, d))
        else:
            tally.skip(_capped(n, d, b) + _capped(n, d, a) + n)
    closed = all(_done(extent, longest) for extent in (before, after)) or not (before[-1] or after[-1])
    out = np.maximum(_first(before, left), _first(after, right))
    into = np.maximum(_first(before, right), _first(after, left))
    return tally.result(out, into, closed, counts)


def _extents(kinds: list[BandShape], longest: int, layers: int | None) -> tuple[list[int], list[int]]:
    """Extents to either side after 0, 1, 2, ... layers, until nothing is added or `layers` is reached."""
    before, after = [0], [0]
    sides = (sum(k.before for k in kinds), sum(k.after for k in kinds))
    while layers is None or len(before) <= layers:
        open_left = sides[0] > 0 and before[-1] < longest
        open_right = sides[1] > 0 and after[-1] < longest
        if not (open_left or open_right):
            break
        kind = kinds[(len(before) - 1) % len(kinds)]
        before.append(min(before[-1] + kind.before, longest))
        after.append(min(after[-1] + kind.after, longest))
    return before, after


def _done(extent: list[int], longest: int) -> bool:
    return extent[-1] >= longest or extent[-1] == 0


def _first(extent: list[int], distance: Ints) -> Ints:
    """The first layer whose extent covers each distance, or the last layer that adds anything."""
    last = int(np.searchsorted(extent, extent[-1]))
    return np.minimum(np.searchsorted(extent, distance), last)


def _capped(n: int, d: int, extent: int) -> int:
    """Sum over i < n of min(i // d, extent)."""
    whole, rest = divmod(n, d)
    full = whole * (whole - 1) // 2 if extent >= whole else extent * (extent - 1) // 2 + extent * (whole - extent)
    return d * full + rest * min(whole, extent)


def _band_image(grid: Grid | None, before: int, after: int, d: int) -> np.ndarray | None:
    if grid is None:
        return None
    lag = np.arange(grid.n)
    on = lag % d == 0
    return lag_image(grid, on & (lag <= before * d), on & (lag <= after * d))


def _sinks(stack: LayeredRelation, kinds: tuple[Slices, ...], ask: ReachRequest) -> Reach | None:
    """Causal windows with the same first tokens visible to all: sinks shorten no path but their own."""
    if not stack.causal:
        return None
    found = [sinks_of(kind) for kind in kinds]
    shapes = [shape for shape in found if shape is not None]
    if len(shapes) < len(found) or len({sinks for sinks, _ in shapes}) != 1:
        return None
    befores = [before for _, before in shapes]
    return _windows(stack, shapes[0][0], befores, ask) if any(befores) else None


def sinks_of(slices: Slices) -> tuple[int, int] | None:
    """`(sinks, before)` where query i reads the first tokens and i - before, ..., i, nothing else."""
    n = slices.n
    last = slices.row == n - 1
    if int(last.sum()) != 2:
        return None
    first, second = slices.take(last).start.tolist()
    sinks, before = int(slices.stop[last][0]), n - 1 - second
    expected = windows(n, sinks, before)
    if first != 0 or len(expected.row) != len(slices.row):
        return None
    same = (expected.row == slices.row) & (expected.start == slices.start) & (expected.stop == slices.stop)
    return (sinks, before) if bool((same & (expected.step == slices.step)).all()) else None


def windows(n: int, sinks: int, before: int) -> Slices:
    """The slices of a causal window of `before` + 1 keys and the first `sinks` tokens."""
    i = np.arange(n)
    low = np.maximum(i - before, 0)
    apart = low > sinks
    row = np.concatenate([i[apart], i])
    start = np.concatenate([np.zeros(int(apart.sum()), dtype=np.int64), np.where(apart, low, 0)])
    stop = np.concatenate([np.full(int(apart.sum()), sinks), i + 1])
    return Slices.of(n, row, start, stop)


def _windows(stack: LayeredRelation, sinks: int, befores: list[int], ask: ReachRequest) -> Reach:
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
