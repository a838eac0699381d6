"""Blocks of queries that share a memory larger than the block: on a line, and on a grid of pixels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from attnprof.errors import AttnprofError
from attnprof.pattern.expr import AsArray, Expr
from attnprof.pattern.slices import Bools, Ints, Slices


@dataclass(frozen=True)
class Halo(Expr):
    """The own block, `before` tokens ahead of it and `after` tokens behind it; causal adds j <= i."""

    size: int
    before: int = 0
    after: int = 0
    causal: bool = False

    def of_rows(self, n: int, first: int, last: int) -> Slices:
        i = np.arange(first, last)
        block = i // self.size * self.size
        stop = block + self.size + self.after
        return Slices.of(n, i, block - self.before, np.minimum(stop, i + 1) if self.causal else stop)

    def rule(self, i: Ints, j: Ints, asarray: AsArray = np.asarray) -> Bools:
        ahead = j - i // self.size * self.size
        near = (ahead >= -self.before) & (ahead < self.size + self.after)
        return near & (j <= i) if self.causal else near


@dataclass(frozen=True)
class FramedBlocks(Expr):
    """Blocks of side x side pixels, `across` in a row, each with a frame of pixels above and to both sides; j <= i.

    Tokens are in generation order: blocks in raster order, and pixels in raster order within a block.
    """

    across: int
    side: int
    frame: int

    def __post_init__(self) -> None:
        Expr.__post_init__(self)
        if self.frame < 0:
            raise AttnprofError(f"FramedBlocks has frame = {self.frame}, but a frame is at least 0", hint="frame=0")

    @property
    def area(self) -> int:
        """Pixels of a block."""
        return self.side**2

    def neighbours(self) -> Iterator[tuple[int, int, int, int, int]]:
        """Earlier blocks in the frame: rows up, columns right, then the first row and the columns of it there."""
        reach = -(-self.frame // self.side)
        for up in range(reach, -1, -1):
            for right in range(-reach, reach + 1 if up else 0):
                first = max(up * self.side - self.frame, 0) if up else 0
                left = max(-right * self.side - self.frame, 0) if right < 0 else 0
                stop = min(self.frame - (right - 1) * self.side, self.side) if right > 0 else self.side
                yield up, right, first, left, stop

    def block_at(self, block: Ints, up: int, right: int) -> Ints:
        """The block so many rows up and columns right, -1 where the image ends."""
        row, column = block // self.across - up, block % self.across + right
        inside = (row >= 0) & (column >= 0) & (column < self.across)
        return np.where(inside, row * self.across + column, -1)

    def of_rows(self, n: int, first: int, last: int) -> Slices:
        i = np.arange(first, last)
        own = i // self.area
        parts = [Slices.of(n, i, own * self.area, i + 1)]
        for up, right, top, left, stop in self.neighbours():
            if self._is_whole(up, right):
                continue
            block = self.block_at(own, up, right)
            start = np.where(block < 0, n, block * self.area)[:, None] + np.arange(top, self.side) * self.side
            parts.append(Slices.of(n, i[:, None], start + left, start + stop))
        return parts[0].joined(*parts[1:], *self._whole_blocks(n, i)).disjoint()

    def _is_whole(self, up: int, right: int) -> bool:
        """Whether the frame holds all of the block so many rows up and columns right."""
        return max(up, abs(right)) * self.side <= self.frame

    def _whole_blocks(self, n: int, i: Ints) -> Iterator[Slices]:
        """The blocks that the frame holds whole, those beside each other as one run."""
        own, reach = i // self.area, self.frame // self.side
        column = own % self.across
        for up in range(reach + 1):
            row = (own // self.across - up) * self.across
            first = row + np.maximum(column - reach, 0)
            last = np.minimum(column + reach, self.across - 1) if up else column - 1
            yield Slices.of(n, i, np.where(row < 0, n, first * self.area), (row + last + 1) * self.area)

    def rule(self, i: Ints, j: Ints, asarray: AsArray = np.asarray) -> Bools:
        own, block = i // self.area, j // self.area
        row = block // self.across * self.side + j % self.area // self.side
        column = block % self.across * self.side + j % self.side
        top, left = own // self.across * self.side, own % self.across * self.side
        beside = (column >= left - self.frame) & (column < left + self.side + self.frame)
        return (row >= top - self.frame) & beside & (j <= i)
