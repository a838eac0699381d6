"""The tiles of each primitive, by its structure. `lower.py` puts the parts of a pattern together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import singledispatch
from math import gcd

import numpy as np

from attnprof.errors import TooLarge
from attnprof.layers.lowering.masks import SMALL, TooWide, by_lag, cut, fits, masked, needed
from attnprof.layers.lowering.tiling import NATURAL, TilePart, View
from attnprof.layers.lowering.triangle import triangle
from attnprof.pattern import (
    Band,
    Blocks,
    BlockTable,
    Dense,
    Expr,
    FramedBlocks,
    GridWindows,
    Halo,
    KeyTable,
    Offsets,
    Strided,
    Summary,
)
from attnprof.pattern.slices import Bools, Ints

LARGEST_BLOCK = 256
ONE_TILE = 1024
MOST_KEYS = 1 << 25
TABLE_BYTES = 16  # of an entry, while a table of blocks is made


@singledispatch
def tiles(expr: Expr, n: int, earlier: tuple[Expr, ...]) -> list[TilePart]:
    """The parts that execute `expr` without the edges of `earlier` terms of the same union.

    Raises `TooWide` where that takes tables which are too large, so that its tiles have to be looked for.
    """
    raise TooWide


@tiles.register
def _(expr: Dense, n: int, earlier: tuple[Expr, ...]) -> list[TilePart]:
    """One tile of all queries and all keys; a causal one of many tokens without its upper half."""
    if earlier:
        raise TooWide
    if expr.causal and n > ONE_TILE:
        return triangle(n, NATURAL)
    relative = np.tri(n, dtype=np.bool_) if expr.causal and n > 1 else None
    return [TilePart(n, NATURAL, NATURAL, n, n, shifts=(0,), relative=relative)]


@tiles.register
def _(expr: Band, n: int, earlier: tuple[Expr, ...]) -> list[TilePart]:
    view = View("residue", expr.dilation) if expr.dilation > 1 else NATURAL
    block = _block_size(expr.before + expr.after + 1, -(-n // expr.dilation))
    group = view.group_blocks(n, block)
    before = min(-(-expr.before // block), group - 1)
    after = min(-(-expr.after // block), group - 1)
    shifts = tuple(range(-before, after + 1))
    relative = by_lag(_alone(expr, earlier), block, len(shifts) * block, before * block, expr.dilation)
    return [masked(TilePart(n, view, view, block, block, shifts=shifts, relative=relative))]


@tiles.register
def _(expr: Strided, n: int, earlier: tuple[Expr, ...]) -> list[TilePart]:
    """One tile a residue class; a causal one of many tokens as a triangle within each class."""
    view, length = View("residue", expr.stride), -(-n // expr.stride)
    alone = _alone(expr, earlier)
    if length <= ONE_TILE:
        relative = by_lag(alone, length, length, 0, expr.stride)
        return [masked(TilePart(n, view, view, length, length, shifts=(0,), relative=relative))]
    lags = np.arange(1 - length, length)
    left = alone(lags * expr.stride)
    if bool(left.all()):
        return [masked(TilePart(n, view, view, length, length, shifts=(0,)))]
    if bool((left == (lags >= 0)).all()):
        return triangle(n, view)
    raise TooWide


@tiles.register
def _(expr: Offsets, n: int, earlier: tuple[Expr, ...]) -> list[TilePart]:
    lags = np.unique(np.asarray(expr.lags, dtype=np.int64))
    lags = lags[~_covered(earlier, lags) & (np.abs(lags) < n)]
    if n * len(lags) > MOST_KEYS:
        raise TooLarge(
            f"Offsets of {len(lags):,} lags at n = {n} is a table of {n * len(lags):,} keys, more than {MOST_KEYS:,}",
            hint="a Band, or Strided, where the lags are evenly spaced",
        )
    keys = np.arange(n, dtype=np.int32)[:, None] - lags.astype(np.int32)
    keys[(keys < 0) | (keys >= n)] = -1
    return [masked(TilePart(n, NATURAL, NATURAL, 1, 1, table=keys[None]))]


@tiles.register
def _(expr: KeyTable, n: int, earlier: tuple[Expr, ...]) -> list[TilePart]:
    return [masked(TilePart(n, NATURAL, NATURAL, 1, 1, table=expr.lists(n)[None]))]


@tiles.register
def _(expr: Blocks, n: int, earlier: tuple[Expr, ...]) -> list[TilePart]:
    size, group = expr.size, -(-n // expr.size)
    shifts = tuple(s for s in range(max(-expr.before, 1 - group), min(expr.after, group - 1) + 1))
    part = masked(TilePart(n, NATURAL, NATURAL, size, size, shifts=shifts))
    if earlier:
        left = by_lag(lambda lag: ((lag >= 0) | (not expr.causal)) & ~_covered(earlier, lag), size, size, 0)
        return [replace(part, relative=left)]
    return [_causally(part, shifts, reads=0 in shifts) if expr.causal else part]


@tiles.register
def _(expr: Halo, n: int, earlier: tuple[Expr, ...]) -> list[TilePart]:
    """Key blocks of the largest size that fits block, before and after; whole neighbours need no gathering."""
    unit = gcd(expr.size, expr.before, expr.after)
    if unit == expr.size:
        return tiles(Blocks(unit, expr.before // unit, expr.after // unit, expr.causal), n, ())
    stop = expr.size + (min(expr.after, 0) if expr.causal else expr.after)
    offsets = np.arange(-expr.before // unit, stop // unit)
    fits(-(-n // expr.size) * len(offsets), TABLE_BYTES)
    blocks = np.arange(-(-n // expr.size))[:, None] * (expr.size // unit) + offsets
    blocks = np.where((blocks >= 0) & (blocks < -(-n // unit)), blocks, -1)[None]
    part = masked(TilePart(n, NATURAL, NATURAL, expr.size, unit, table=blocks))
    return [_causally(part, offsets.tolist(), reads=expr.before >= 0 and expr.after >= 0) if expr.causal else part]


@tiles.register
def _(expr: FramedBlocks, n: int, earlier: tuple[Expr, ...]) -> list[TilePart]:
    """Rows of pixels that the frame meets (whole blocks where it meets them whole), the own block last."""
    own, side, area = np.arange(-(-n // expr.area)), expr.side, expr.area
    unit = side if expr.frame % side else area
    fits(len(own) * (area // unit) * (1 + sum(1 for _ in expr.neighbours())), TABLE_BYTES)
    blocks, masks = [], []
    for up, right, first, left, stop in expr.neighbours():
        rows = np.arange(first * side // unit, area // unit)
        block = expr.block_at(own, up, right)[:, None]
        blocks.append(np.where(block < 0, -1, block * (area // unit) + rows))
        masks.append(np.tile((np.arange(unit) % side >= left) & (np.arange(unit) % side < stop), len(rows)))
    rows = own[:, None] * (area // unit) + np.arange(area // unit)
    table = np.concatenate([*blocks, np.where(rows < -(-n // unit), rows, -1)], axis=1)[None]
    frame = np.concatenate([*masks, np.zeros(0, dtype=np.bool_)])

    def relative() -> Bools:
        return np.concatenate([np.broadcast_to(frame, (area, len(frame))), np.tri(area, dtype=np.bool_)], axis=1)

    return [cut(masked(TilePart(n, NATURAL, NATURAL, area, unit, table=table)), relative, reads=True)]


@tiles.register
def _(expr: Summary, n: int, earlier: tuple[Expr, ...]) -> list[TilePart]:
    """Columns of other blocks for whole blocks of queries; those of the own block apart, unless a term has them."""
    if expr.last <= expr.first:
        return []
    size, width = expr.stride, expr.last - expr.first
    together = 1 if (-(-n // size)) ** 2 * width <= SMALL else max(1, LARGEST_BLOCK // size)
    groups = -(-n // (size * together))
    fits(groups**2 * together * width)
    columns = (np.arange(groups * together)[:, None] * size + np.arange(expr.first, expr.last)).ravel()
    chosen = View("select", tokens=np.where(columns < n, columns, -1))
    own, group = np.arange(groups)[:, None], columns // (size * together)
    ok = (group < own) if expr.causal else (group != own)
    others = TilePart(n, NATURAL, chosen, size * together, len(columns), key_ok=(ok & (columns < n))[None])
    if earlier and together == 1:
        return [others]
    row, column = np.arange(size * together)[:, None], columns[: width * together]
    relative = column <= row if expr.causal else np.ones((len(row), len(column)), dtype=np.bool_)
    relative &= (row // size != column // size) | (not earlier)
    part = masked(TilePart(n, NATURAL, chosen, size * together, width * together, shifts=(0,)))
    return [others, replace(part, relative=needed(relative))]


@tiles.register
def _(expr: GridWindows, n: int, earlier: tuple[Expr, ...]) -> list[TilePart]:
    """One tile a window, whose tokens follow one another in the view; windows cut by the border are padded."""
    i = np.arange(n)
    shift = expr.window - expr.shift % expr.window
    row, column = (i // expr.width + shift) // expr.window, (i % expr.width + shift) // expr.window
    window = np.unique(row * (expr.width + shift) + column, return_inverse=True)[1]
    return [_grouped(window, n)]


@tiles.register
def _(expr: BlockTable, n: int, earlier: tuple[Expr, ...]) -> list[TilePart]:
    """Rows of blocks by how many blocks they read, so that none is padded to the longest; the own block comes last."""
    own = np.arange(len(expr.table))
    lists = np.concatenate([np.full((len(own), 1), -1), expr.lists()], axis=1)  # a row may list nothing
    has_own = (lists == own[:, None]).any(1)
    order = np.argsort(np.where(lists < 0, -1, np.where(lists == own[:, None], len(own), lists)), axis=1, kind="stable")
    lists = np.take_along_axis(lists, order, 1)
    kinds = 2 * (lists >= 0).sum(1) + has_own
    kinds[list(expr.full)] = -1
    parts = []
    for kind in np.unique(kinds):
        chosen = np.flatnonzero(kinds == kind)
        width = max(int(kind) // 2, 1) if kind >= 0 else len(own)
        blocks = lists[chosen, -width:] if kind >= 0 else np.broadcast_to(own, (len(chosen), width))
        parts.append(_block_rows(expr, n, None if len(chosen) == len(own) else chosen, blocks[None], kind))
    return parts


def _block_rows(expr: BlockTable, n: int, chosen: Ints | None, blocks: Ints, kind: int) -> TilePart:
    """Rows of one kind; under causality a full row is cut at its own place, others in their last block at most."""
    part = masked(TilePart(n, NATURAL, NATURAL, expr.size, expr.size, table=blocks, tiles=chosen))
    if expr.causal and kind < 0:
        return replace(part, full=lambda: part.keys()[:, :, None] <= part.rows()[None, :, :, None])
    return _causally(part, range(1 - blocks.shape[-1], 1), reads=True) if expr.causal and kind % 2 else part


def _grouped(group: Ints, n: int) -> TilePart:
    """Tokens that share a group read each other: one tile a group, padded to the largest."""
    sizes = np.bincount(group)
    size = int(sizes.max())
    order = np.argsort(group, kind="stable")
    tokens = np.full((len(sizes), size), -1, dtype=np.int64)
    within = np.arange(n) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    tokens[group[order], within] = order
    view = View("select", tokens=tokens.ravel())
    return masked(TilePart(n, view, view, size, size, shifts=(0,)))


def _causally(part: TilePart, shifts: Sequence[int], *, reads: bool) -> TilePart:
    """The part under j <= i, its key blocks lying at these distances from the first row of a tile."""
    return cut(part, lambda: np.arange(part.q_block)[:, None] >= _offsets(shifts, part.k_block), reads=reads)


def _alone(expr: Expr, earlier: tuple[Expr, ...]) -> Callable[[Ints], Bools]:
    """The rule of a lag that an expression has and no earlier term."""
    return lambda lag: np.asarray(expr.rule(lag, np.zeros_like(lag)), dtype=np.bool_) & ~_covered(earlier, lag)


def _covered(earlier: tuple[Expr, ...], lag: Ints) -> Bools:
    """Which lags the earlier terms have already; an own block has, of the lags that are its multiples, only 0."""
    covered = np.zeros(lag.shape, dtype=np.bool_)
    for term in earlier:
        covered |= lag == 0 if isinstance(term, Blocks) else np.asarray(term.rule(lag, np.zeros_like(lag)))
    return covered


def _offsets(shifts: Sequence[int], block: int) -> Ints:
    """Key position relative to the first row of the tile."""
    return (np.asarray(shifts)[:, None] * block + np.arange(block)).ravel()


def _block_size(span: int, length: int) -> int:
    """A quarter of the window as a power of two: little is computed in vain, and a matrix product stays large."""
    quarter = 2 ** int(np.log2(max(span // 4, 8)))
    return int(min(quarter, LARGEST_BLOCK, 2 ** int(np.ceil(np.log2(max(length, 1))))))
