"""Masks that are constant on blocks, held as a small relation between blocks: a million tokens as a few thousand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attnprof.graph.pixels import Counts, Grid, pooled
from attnprof.graph.products import push
from attnprof.graph.relation import NAMED, FutureEdges, Relation
from attnprof.graph.token_edges import TokenEdges, remove
from attnprof.pattern import Blocks, BlockTable, Dense, Expr, Global, Past, Slices, Sum, Union
from attnprof.pattern.slices import Bools, Ints


@dataclass(frozen=True, eq=False)
class BlockConstant:
    """A relation that is constant on blocks of `size` tokens, as `Relation` says; `quotient` is of step 1."""

    size: int
    quotient: Slices
    cut: bool
    ways = None

    @property
    def n(self) -> int:
        return self.quotient.n * self.size

    @property
    def edges(self) -> int:
        return int(self.out_degree().sum())

    @property
    def stored(self) -> int:
        return len(self.quotient.row)

    @property
    def reads_future(self) -> bool:
        last, row = self.quotient.stop - 1, self.quotient.row
        return not self.cut and bool((last >= row if self.size > 1 else last > row).any())

    @property
    def reads_past(self) -> bool:
        return self.size > 1 or bool((self.quotient.start < self.quotient.row).any())

    def future(self) -> FutureEdges:
        if self.cut:
            return FutureEdges(0, ())
        blocks, own = self.quotient, self._diagonal()
        after = np.maximum(blocks.stop - np.maximum(blocks.start, blocks.row + 1), 0)
        count = int(after.sum()) * self.size**2 + int(own.sum()) * (self.size * (self.size - 1) // 2)
        early = np.union1d(blocks.row[after > 0], np.flatnonzero(own))[:NAMED]
        named = BlockConstant(self.size, blocks.take(np.isin(blocks.row, early)), cut=False)
        return FutureEdges(count, TokenEdges(named.tokens()).future().first)

    def out_degree(self) -> Ints:
        whole = np.repeat(self.quotient.out_degree() * self.size, self.size)
        return whole - np.where(np.repeat(self._diagonal(), self.size), self._lost()[::-1], 0)

    def in_degree(self) -> Ints:
        whole = np.repeat(self.quotient.in_degree() * self.size, self.size)
        return whole - np.where(np.repeat(self._diagonal(), self.size), self._lost(), 0)

    def push(self, w: NDArray) -> NDArray:
        if self.cut:
            return push(self.tokens(), w)
        return np.repeat(push(self.quotient, w.reshape(-1, self.size).sum(axis=1)), self.size)

    def pooled(self, grid: Grid) -> Counts:
        """Through the blocks where they fit the pixels, through the tokens where they do not."""
        if grid.size % self.size == 0:
            small = Grid(self.quotient.n, grid.size // self.size)
            image = pooled(self.quotient, small) * self.size**2
            lost = np.add.reduceat(self._diagonal() * 1, small.edges[:-1]) if self.cut else 0
            return image - np.diag(np.broadcast_to(lost, small.side) * (self.size * (self.size - 1) // 2))
        return pooled(self.tokens(), grid)

    def tokens(self) -> Slices:
        return self.refined(1)

    def refined(self, size: int) -> Slices:
        by = self.size // size
        if by == 1:
            return self.quotient
        row = (self.quotient.row[:, None] * by + np.arange(by)).ravel()
        start, stop = np.repeat(self.quotient.start * by, by), np.repeat(self.quotient.stop * by, by)
        return Slices.of(self.quotient.n * by, row, start, np.minimum(stop, row + 1) if self.cut else stop)

    def without(self, gone: Bools) -> Relation:
        whole = gone.reshape(-1, self.size)
        if bool((whole.all(axis=1) == whole.any(axis=1)).all()):
            return BlockConstant(self.size, remove(self.quotient, whole[:, 0]), self.cut)
        return TokenEdges(remove(self.tokens(), gone))

    def _diagonal(self) -> Bools:
        blocks = self.quotient
        found = np.zeros(blocks.n, dtype=np.bool_)
        found[blocks.row[(blocks.start <= blocks.row) & (blocks.row < blocks.stop)]] = True
        return found

    def _lost(self) -> Ints:
        """Queries of its own block that do not read the key at each place of a block, `[n]`."""
        return np.tile(np.arange(self.size) if self.cut else np.zeros(self.size, dtype=np.int64), self.quotient.n)


def union(parts: Sequence[Relation]) -> BlockConstant | None:
    """The union on the coarsest common blocks; None without any, or where blocks that causality cuts meet others."""
    size = math.gcd(*(part.size for part in parts))
    if size == 1 or len({part.cut for part in parts}) != 1:
        return None
    return BlockConstant(size, _joined([part.refined(size) for part in parts]), parts[0].cut)


def united(parts: Sequence[Relation]) -> Relation:
    """The union of relations without slots: on blocks where they have some."""
    return union(parts) or TokenEdges(_joined([part.tokens() for part in parts]))


def _joined(parts: Sequence[Slices]) -> Slices:
    first, *rest = parts
    return first.joined(*rest).disjoint() if rest else first


def blocked_form(expr: Expr, n: int) -> BlockConstant | None:
    """An expression as blocks without spelling out its tokens; None where its primitives are not made of blocks."""
    if isinstance(expr, (Union, Sum)):
        parts = [blocked_form(part, n) for part in expr.parts]
        found = [part for part in parts if part is not None]
        return union(found) if len(found) == len(parts) else None
    if isinstance(expr, Past):
        inner = blocked_form(expr.inner, n)
        return None if inner is None else BlockConstant(inner.size, inner.quotient.past(), True)
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
