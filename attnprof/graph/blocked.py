"""Masks that are constant on blocks, held as a small relation between blocks: a million tokens as a few thousand."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from attnprof.graph.pixels import Counts, Grid, pooled
from attnprof.pattern import Blocks, BlockTable, Dense, Expr, Global, Past, Slices, Sum, Union
from attnprof.pattern.slices import Ints


@dataclass(frozen=True, eq=False)
class BlockConstant:
    """Block I of `size` queries reads block J of keys as `blocks` says, all of it.

    Under `causal` the diagonal blocks are lower triangular (with the diagonal) and all blocks are of the past.
    """

    size: int
    blocks: Slices
    causal: bool

    @property
    def n(self) -> int:
        """Tokens."""
        return self.blocks.n * self.size

    @property
    def edges(self) -> int:
        """Distinct edges between tokens."""
        return int(self.out_degree().sum())

    def out_degree(self) -> Ints:
        """Keys that each query reads, `[n]`."""
        whole = np.repeat(self.blocks.out_degree() * self.size, self.size)
        return whole - np.where(np.repeat(self._diagonal(), self.size), self._cut()[::-1], 0)

    def in_degree(self) -> Ints:
        """Queries that read each key, `[n]`."""
        whole = np.repeat(self.blocks.in_degree() * self.size, self.size)
        return whole - np.where(np.repeat(self._diagonal(), self.size), self._cut(), 0)

    def pooled(self, grid: Grid) -> Counts:
        """Edges in each pixel; through the blocks where they fit the pixels, through the tokens where they do not."""
        if grid.size % self.size == 0:
            small = Grid(self.blocks.n, grid.size // self.size)
            image = pooled(self.blocks, small) * self.size**2
            lost = np.add.reduceat(self._diagonal() * 1, small.edges[:-1]) if self.causal else 0
            return image - np.diag(np.broadcast_to(lost, small.side) * (self.size * (self.size - 1) // 2))
        return pooled(self.tokens(), grid)

    def tokens(self) -> Slices:
        """The same edges as slices of tokens."""
        row = (self.blocks.row[:, None] * self.size + np.arange(self.size)).ravel()
        start = np.repeat(self.blocks.start * self.size, self.size)
        stop = np.repeat(self.blocks.stop * self.size, self.size)
        return Slices.of(self.n, row, start, np.minimum(stop, row + 1) if self.causal else stop)

    def refined(self, size: int) -> BlockConstant:
        """The same edges on smaller blocks, whose size divides this one."""
        by = self.size // size
        if by == 1:
            return self
        row = (self.blocks.row[:, None] * by + np.arange(by)).ravel()
        start, stop = np.repeat(self.blocks.start * by, by), np.repeat(self.blocks.stop * by, by)
        stop = np.minimum(stop, row + 1) if self.causal else stop
        return BlockConstant(size, Slices.of(self.blocks.n * by, row, start, stop), self.causal)

    def _diagonal(self) -> np.ndarray:
        blocks = self.blocks
        found = np.zeros(blocks.n, dtype=np.bool_)
        found[blocks.row[(blocks.start <= blocks.row) & (blocks.row < blocks.stop)]] = True
        return found

    def _cut(self) -> Ints:
        """Queries of its own block that do not read the key at each place of a block, `[n]`."""
        return np.tile(np.arange(self.size) if self.causal else np.zeros(self.size, dtype=np.int64), self.blocks.n)


def union(parts: list[BlockConstant]) -> BlockConstant | None:
    """The union on the coarsest common blocks; None where causal and full diagonal blocks meet."""
    if len({part.causal for part in parts}) != 1:
        return None
    size = math.gcd(*(part.size for part in parts))
    first, *rest = (part.refined(size).blocks for part in parts)
    return BlockConstant(size, first.joined(*rest).disjoint() if rest else first, parts[0].causal)


def blocked_form(expr: Expr, n: int) -> BlockConstant | None:
    """An expression as blocks without spelling out its tokens; None where its primitives are not made of blocks."""
    if isinstance(expr, (Union, Sum)):
        parts = [blocked_form(part, n) for part in expr.parts]
        found = [part for part in parts if part is not None]
        return union(found) if len(found) == len(parts) else None
    if isinstance(expr, Past):
        inner = blocked_form(expr.inner, n)
        return None if inner is None else BlockConstant(inner.size, inner.blocks.past(), True)
    if isinstance(expr, (BlockTable, Blocks)) and n % expr.size == 0:
        return _on_blocks(expr, n)
    if isinstance(expr, Dense):
        return BlockConstant(n, Dense().slices(1), expr.causal)
    return _globals(expr, n) if isinstance(expr, Global) and not expr.causal else None


def _globals(expr: Global, n: int) -> BlockConstant:
    last = min(expr.last, n)
    size = math.gcd(n, expr.first, last)
    blocks = Global(last // size, expr.first // size, expr.rows, expr.columns).slices(n // size)
    return BlockConstant(size, blocks, False)


def _on_blocks(expr: BlockTable | Blocks, n: int) -> BlockConstant:
    count = n // expr.size
    if isinstance(expr, Blocks):
        blocks = Blocks(1, expr.before, expr.after).slices(count)
    else:
        blocks = BlockTable(1, expr.table, expr.full).slices(count)
    return BlockConstant(expr.size, blocks.past() if expr.causal else blocks, expr.causal)
