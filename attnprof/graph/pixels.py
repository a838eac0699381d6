"""Exact down-sampled pictures: each pixel holds the number of edges or pairs inside it, never a sample."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from attnprof.pattern import Slices
from attnprof.pattern.slices import Bools, Ints

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Grid:
    """Square pixels of `size` tokens over an n x n mask; the last row and column of pixels may be short."""

    n: int
    size: int

    @classmethod
    def of(cls, n: int, side: int = 256) -> Grid:
        """At most `side` pixels a side. A pixel is a power of two below 64 tokens, a multiple of 64 above."""
        least = -(-n // side)
        return cls(n, 1 << (least - 1).bit_length() if least < 64 else -(-least // 64) * 64)

    @property
    def side(self) -> int:
        """Pixels a side."""
        return -(-self.n // self.size)

    @cached_property
    def widths(self) -> Ints:
        """Tokens in each pixel of a side, `[side]`."""
        return np.diff(self.edges)

    @cached_property
    def edges(self) -> Ints:
        """First token of each pixel, and n, `[side + 1]`."""
        return np.minimum(np.arange(self.side + 1) * self.size, self.n)

    def allowed(self, causal: bool) -> Counts:
        """Allowed pairs in each pixel, `[side, side]`: its area, or the part of it with j <= i."""
        if not causal:
            return np.outer(self.widths, self.widths)
        return lag_image(self, np.ones(self.n, dtype=np.bool_), None)


def pooled(slices: Slices, grid: Grid) -> Counts:
    """Edges in each pixel, `[side, side]`, exactly.

    O(slices) where the step is 1, divides the pixel or is a multiple of it; else O(side * n).
    """
    image = _ramps(slices.take(slices.step == 1), grid)
    for step in np.unique(slices.step[slices.step > 1]).tolist():
        image += _by_step(grid.size, step)(slices.take(slices.step == step), grid, step)
    return image


def _by_step(size: int, step: int) -> Callable[[Slices, Grid, int], Counts]:
    if size % step == 0:
        return _within
    return _across if step % size == 0 else _strided


def _within(slices: Slices, grid: Grid, step: int) -> Counts:
    """The step divides the pixel: as many keys in every pixel between the first and the last of a slice."""
    width = grid.side + 1
    base = slices.row // grid.size * width
    last = slices.start + (slices.counts - 1) * step
    low, high = slices.start // grid.size, last // grid.size
    head = np.where(low == high, slices.counts, (grid.size - 1 - slices.start % grid.size) // step + 1)
    tail = np.where(low == high, 0, last % grid.size // step + 1)
    room = grid.side * width
    between = np.bincount(base + low + 1, minlength=room) - np.bincount(
        base + np.maximum(high, low + 1), minlength=room
    )
    inner = between.reshape(grid.side, width).cumsum(axis=1) * (grid.size // step)
    ends = np.bincount(base + low, head, room) + np.bincount(base + high, tail, room)
    return (inner + ends.reshape(grid.side, width).astype(np.int64))[:, : grid.side]


def _across(slices: Slices, grid: Grid, step: int) -> Counts:
    """The step is several pixels: a slice has one key in every so many of them."""
    stride = step // grid.size
    width = -(-(grid.side + stride) // stride) * stride
    base, first = slices.row // grid.size * width, slices.start // grid.size
    stop = first + slices.counts * stride
    room = grid.side * width
    diff = np.bincount(base + first, minlength=room) - np.bincount(base + stop, minlength=room)
    keys = diff.reshape(grid.side, -1, stride).cumsum(axis=1)
    return keys.reshape(grid.side, width)[:, : grid.side]


def _ramps(slices: Slices, grid: Grid) -> Counts:
    """An interval adds a ramp where it starts and takes one away where it stops; the ramps are summed along a row."""
    width = grid.side + 2
    base = slices.row // grid.size * width
    total = np.zeros(grid.side * width)
    for at, sign in ((slices.start, 1.0), (slices.stop, -1.0)):
        pixel, rest = np.divmod(at, grid.size)
        total += sign * np.bincount(base + pixel, weights=grid.size - rest, minlength=len(total))
        total += sign * np.bincount(base + pixel + 1, weights=rest, minlength=len(total))
    return total.reshape(grid.side, width).cumsum(axis=1)[:, : grid.side].astype(np.int64)


def _strided(slices: Slices, grid: Grid, step: int) -> Counts:
    """Row pixel by row pixel: a difference array over keys, summed along the stride, then over the pixels."""
    image = np.zeros((grid.side, grid.side), dtype=np.int64)
    first = np.searchsorted(slices.row, grid.edges)
    length = -(-(grid.n + step) // step) * step
    stop = slices.start + slices.counts * step
    for pixel in range(grid.side):
        mine = slice(int(first[pixel]), int(first[pixel + 1]))
        diff = np.bincount(slices.start[mine], minlength=length) - np.bincount(stop[mine], minlength=length)[:length]
        keys = diff.reshape(-1, step).cumsum(axis=0).ravel()[: grid.n]
        image[pixel] = np.add.reduceat(keys, grid.edges[:-1])
    return image


def lag_image(grid: Grid, past: Bools, future: Bools | None) -> Counts:
    """Pairs in each pixel whose lag i - j is in the set, `[side, side]`.

    `past[t]` says whether lag t >= 0 is in the set, `future[t]` whether lag -t is (t >= 1); both `[n]`.
    """
    ahead = np.zeros(grid.n, dtype=np.bool_) if future is None else future
    member = np.concatenate([ahead[:0:-1], past]).astype(np.int64)
    twice = np.concatenate([[0, 0], np.cumsum(np.cumsum(member))])
    offset = grid.n + 1

    def below(rows: Ints, columns: Ints) -> Counts:
        return twice[rows[:, None] - columns[None, :] - 1 + offset]

    first, last = grid.edges[:-1], grid.edges[1:]
    return below(last, first) - below(first, first) - below(last, last) + below(first, last)
