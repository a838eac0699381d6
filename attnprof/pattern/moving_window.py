"""Windows that never shrink: at the border of a line or a grid they move inwards (Hassani and Shi 2022, equation 2)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from attnprof.errors import AttnprofError
from attnprof.pattern.expr import AsArray, Expr
from attnprof.pattern.slices import Bools, Ints, Slices


@dataclass(frozen=True)
class Axis:
    """A line of `length` places, each of which reads `kernel` of them, `dilation` apart: those of its own residue.

    The window is centred, of an even kernel with one place more before than after; at an end it moves inwards, so that
    every place reads `kernel` others, or all of its residue where they are fewer. `causal`: it ends at the place
    itself, and is cut off at the start.
    """

    length: int
    kernel: int
    dilation: int = 1
    causal: bool = False

    def __post_init__(self) -> None:
        least = min(self.length, self.kernel, self.dilation)
        if least < 1:
            raise AttnprofError(f"{self} has a size of {least}", hint="length, kernel and dilation are at least 1")

    def first(self, i: Ints) -> Ints:
        """The first place that place `i` reads."""
        own = i // self.dilation
        if self.causal:
            start = own - (self.kernel - 1)
            return i % self.dilation + self.dilation * (start * (start > 0))
        count = (self.length - 1 - i % self.dilation) // self.dilation + 1
        start = own - self.kernel // 2
        start = start * (start > 0)
        beyond = start + self.kernel - count
        start = start - beyond * (beyond > 0)
        return i % self.dilation + self.dilation * (start * (start > 0))

    def after(self, i: Ints) -> Ints:
        """The place behind the last that place `i` reads."""
        if self.causal:
            return i + 1
        stop = self.first(i) + self.dilation * (self.kernel - 1) + 1
        beyond = stop - self.length
        return stop - beyond * (beyond > 0)

    def reads(self, i: Ints, j: Ints) -> Bools:
        """Whether place `i` reads place `j`."""
        inside = (j >= self.first(i)) & (j < self.after(i))
        return inside & ((j - i) % self.dilation == 0) if self.dilation > 1 else inside


@dataclass(frozen=True)
class Neighbourhood(Expr):
    """Tokens on a line (`columns` alone), or row by row on a grid: a token reads what both axes read.

    The last row of a grid may be short: what is not there is read by nobody, and windows lie as on the whole grid.
    """

    columns: Axis
    rows: Axis | None = None

    def of_rows(self, n: int, first: int, last: int) -> Slices:
        i, line = np.arange(first, last), self.columns
        if self.rows is None:
            return Slices.of(n, i, line.first(i), line.after(i), line.dilation)
        width, down = line.length, self.rows
        row, column = i // width, i % width
        above = down.first(row)[:, None] + down.dilation * np.arange(min(down.kernel, down.length))
        above = np.where(above < down.after(row)[:, None], above, down.length)
        start = above * width + line.first(column)[:, None]
        stop = np.minimum(above * width + line.after(column)[:, None], n)
        return Slices.of(n, i[:, None], start, np.maximum(stop, start), line.dilation)

    def rule(self, i: Ints, j: Ints, asarray: AsArray = np.asarray) -> Bools:
        if self.rows is None:
            return self.columns.reads(i, j)
        width = self.columns.length
        return self.rows.reads(i // width, j // width) & self.columns.reads(i % width, j % width)
