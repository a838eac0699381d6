"""From a pattern expression to a plan of tiles: each primitive by its structure, anything else through its slices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import singledispatch
from math import gcd

import numpy as np

from attnprof.pattern import (
    Band,
    Blocks,
    BlockTable,
    Expr,
    FramedBlocks,
    Global,
    GridWindows,
    Halo,
    KeyTable,
    Offsets,
    Slices,
    Strided,
    Summary,
    Union,
)
from attnprof.pattern.slices import Bools, Ints
from attnprof.runners.hubs import contains, global_columns, global_rows, has_tokens, without_columns
from attnprof.runners.tiling import NATURAL, Part, Plan, Stack, View

FALLBACK_BLOCK = 64
LARGEST_BLOCK = 256


def lower(expr: Expr, n: int) -> Plan:
    """The plan that executes exactly the edges of `expr`, each once."""
    terms = expr.parts if isinstance(expr, Union) else (expr,)
    by_structure = _by_structure(terms, n)
    return by_structure if by_structure is not None else Plan(n, tuple(from_slices(expr.slices(n))))


def _by_structure(terms: tuple[Expr, ...], n: int) -> Plan | None:
    """A plan from the primitives themselves, or None where they overlap in a way that only slices can tell.

    Terms without a token of their own (`Global(0)`, an empty window) have no tiles; one row of each query's reads
    nothing where none has any.
    """
    hubs = [t for t in terms if isinstance(t, Global) and has_tokens(t, n)]
    rest = [t for t in terms if not isinstance(t, Global)]
    if len(hubs) > 1 or not _separable(rest) or not all(contains(hub, rest) for hub in hubs):
        return None
    parts = [part for at, term in enumerate(rest) for part in tiles(term, n, tuple(rest[:at])) if part.executed]
    if len(rest) == 1 and not hubs and _apart(parts):
        return Plan(n, tuple(Stack((part,)) for part in parts))
    if _apart(parts):
        return None
    parts = parts if parts or any(hub.columns for hub in hubs) else [_nothing(n)]
    full: tuple[Stack, ...] = ()
    for hub in hubs:
        parts = [without_columns(part, hub) for part in parts] if hub.columns else parts
        parts += [global_columns(hub, n)] if hub.columns else []
        full = (Stack((global_rows(hub, n),)),) if hub.rows else ()
    return Plan(n, (Stack(tuple(parts)), *full))


def _nothing(n: int) -> Part:
    """A row for each query that reads no key."""
    return _masked(Part(n, NATURAL, NATURAL, 1, 1, table=np.full((1, n, 1), -1)))


def _apart(parts: list[Part]) -> bool:
    """Whether each part has query rows of its own, so that there is nothing to merge."""
    return any(part.tiles is not None or part.q_view.tokens is not None for part in parts)


def _separable(terms: list[Expr]) -> bool:
    """Whether the overlap of these primitives is known from lags, or from a common block, alone."""
    lags = [t for t in terms if isinstance(t, (Band, Strided, Offsets))]
    others = [t for t in terms if not isinstance(t, (Band, Strided, Offsets))]
    if not others:
        return True
    blocks = [t for t in others if isinstance(t, Blocks)]
    if len(terms) == 1:
        return isinstance(terms[0], (Blocks, BlockTable, FramedBlocks, GridWindows, Halo, KeyTable, Summary))
    own = len(blocks) == 1 and terms[0] is blocks[0] and blocks[0].before == blocks[0].after == 0
    strides = all(isinstance(t, Strided) and t.stride == blocks[0].size for t in lags) if own else False
    sums = [t for t in others if isinstance(t, Summary)]
    matching = all(s.stride == blocks[0].size and s.causal == blocks[0].causal for s in sums) if own else False
    return own and strides and matching and len(sums) <= 1 and len(others) == len(sums) + 1 and not (lags and sums)


@singledispatch
def tiles(expr: Expr, n: int, earlier: tuple[Expr, ...]) -> list[Part]:
    """The parts that execute `expr` without the edges of `earlier` terms of the same union."""
    return [part for stack in from_slices(expr.slices(n)) for part in stack.parts]


@tiles.register
def _(expr: Band, n: int, earlier: tuple[Expr, ...]) -> list[Part]:
    view = View("residue", expr.dilation) if expr.dilation > 1 else NATURAL
    block = _block_size(expr.before + expr.after + 1, -(-n // expr.dilation))
    group = view.group_blocks(n, block)
    before = min(-(-expr.before // block), group - 1)
    after = min(-(-expr.after // block), group - 1)
    shifts = tuple(range(-before, after + 1))
    lag = (np.arange(block)[:, None] - _offsets(shifts, block)) * expr.dilation
    relative = expr.rule(lag, np.zeros_like(lag)) & ~_covered(earlier, lag)
    return [_masked(Part(n, view, view, block, block, shifts=shifts, relative=_needed(relative)))]


@tiles.register
def _(expr: Strided, n: int, earlier: tuple[Expr, ...]) -> list[Part]:
    view = View("residue", expr.stride)
    block = -(-n // expr.stride)
    lag = (np.arange(block)[:, None] - np.arange(block)) * expr.stride
    relative = expr.rule(lag, np.zeros_like(lag)) & ~_covered(earlier, lag)
    return [_masked(Part(n, view, view, block, block, shifts=(0,), relative=_needed(relative)))]


@tiles.register
def _(expr: Offsets, n: int, earlier: tuple[Expr, ...]) -> list[Part]:
    lags = np.unique(np.asarray(expr.lags, dtype=np.int64))
    lags = lags[~_covered(earlier, lags) & (np.abs(lags) < n)]
    keys = np.arange(n)[:, None] - lags
    return tiles(KeyTable(np.where((keys >= 0) & (keys < n), keys, -1)), n, ())


@tiles.register
def _(expr: KeyTable, n: int, earlier: tuple[Expr, ...]) -> list[Part]:
    return [_masked(Part(n, NATURAL, NATURAL, 1, 1, table=expr.lists(n)[None]))]


@tiles.register
def _(expr: Blocks, n: int, earlier: tuple[Expr, ...]) -> list[Part]:
    size, group = expr.size, -(-n // expr.size)
    shifts = tuple(s for s in range(-expr.before, expr.after + 1) if abs(s) < group)
    relative = np.arange(size)[:, None] >= _offsets(shifts, size) if expr.causal else None
    return [_masked(Part(n, NATURAL, NATURAL, size, size, shifts=shifts, relative=relative))]


@tiles.register
def _(expr: Halo, n: int, earlier: tuple[Expr, ...]) -> list[Part]:
    """Key blocks of the largest size that fits block, before and after; whole neighbours need no gathering."""
    unit = gcd(expr.size, expr.before, expr.after)
    if unit == expr.size:
        return tiles(Blocks(unit, expr.before // unit, expr.after // unit, expr.causal), n, ())
    stop = expr.size + (min(expr.after, 0) if expr.causal else expr.after)
    offsets = np.arange(-expr.before // unit, stop // unit)
    blocks = np.arange(-(-n // expr.size))[:, None] * (expr.size // unit) + offsets
    blocks = np.where((blocks >= 0) & (blocks < -(-n // unit)), blocks, -1)[None]
    relative = np.arange(expr.size)[:, None] >= _offsets(offsets.tolist(), unit) if expr.causal else None
    return [_masked(Part(n, NATURAL, NATURAL, expr.size, unit, table=blocks, relative=relative))]


@tiles.register
def _(expr: FramedBlocks, n: int, earlier: tuple[Expr, ...]) -> list[Part]:
    """Rows of pixels that the frame meets (whole blocks where it meets them whole), the own block last."""
    own, side, area = np.arange(-(-n // expr.area)), expr.side, expr.area
    unit = side if expr.frame % side else area
    blocks, masks = [], []
    for up, right, first, left, stop in expr.neighbours():
        rows = np.arange(first * side // unit, area // unit)
        block = expr.block_at(own, up, right)[:, None]
        blocks.append(np.where(block < 0, -1, block * (area // unit) + rows))
        masks.append(np.tile((np.arange(unit) % side >= left) & (np.arange(unit) % side < stop), len(rows)))
    rows = own[:, None] * (area // unit) + np.arange(area // unit)
    table = np.concatenate([*blocks, np.where(rows < -(-n // unit), rows, -1)], axis=1)[None]
    frame = np.broadcast_to(np.concatenate([*masks, np.zeros(0, dtype=np.bool_)]), (area, sum(map(len, masks))))
    relative = np.concatenate([frame, np.tri(area, dtype=np.bool_)], axis=1)
    return [_masked(Part(n, NATURAL, NATURAL, area, unit, table=table, relative=relative))]


@tiles.register
def _(expr: Summary, n: int, earlier: tuple[Expr, ...]) -> list[Part]:
    """Columns of other blocks for whole blocks of queries; those of the own block apart, unless a term has them."""
    if expr.last <= expr.first:
        return []
    size, blocks = expr.stride, -(-n // expr.stride)
    columns = (np.arange(blocks)[:, None] * size + np.arange(expr.first, expr.last)).ravel()
    chosen = View("select", tokens=np.where(columns < n, columns, -1))
    own, block = np.arange(blocks)[:, None], columns // size
    ok = (block < own) if expr.causal else (block != own)
    others = Part(n, NATURAL, chosen, size, len(columns), key_ok=(ok & (columns < n))[None])
    if earlier:
        return [others]
    width = expr.last - expr.first
    relative = np.arange(size)[:, None] >= np.arange(expr.first, expr.last) if expr.causal else None
    return [others, _masked(Part(n, NATURAL, chosen, size, width, shifts=(0,), relative=relative))]


@tiles.register
def _(expr: GridWindows, n: int, earlier: tuple[Expr, ...]) -> list[Part]:
    """One tile a window, whose tokens follow one another in the view; windows cut by the border are padded."""
    i = np.arange(n)
    shift = expr.window - expr.shift % expr.window
    row, column = (i // expr.width + shift) // expr.window, (i % expr.width + shift) // expr.window
    window = np.unique(row * (expr.width + shift) + column, return_inverse=True)[1]
    return [_grouped(window, n)]


@tiles.register
def _(expr: BlockTable, n: int, earlier: tuple[Expr, ...]) -> list[Part]:
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


def _block_rows(expr: BlockTable, n: int, chosen: Ints | None, blocks: Ints, kind: int) -> Part:
    """Rows of one kind; under causality a full row is cut at its own place, others in their last block at most."""
    rows = np.arange(expr.size)[:, None]
    relative = rows >= _offsets(tuple(range(1 - blocks.shape[-1], 1)), expr.size) if expr.causal and kind % 2 else None
    part = Part(n, NATURAL, NATURAL, expr.size, expr.size, table=blocks, tiles=chosen, relative=relative)
    if expr.causal and kind < 0:
        whole = part
        part = replace(part, relative=None, full=lambda: whole.keys()[:, :, None] <= whole.rows()[None, :, :, None])
    return _masked(part)


def from_slices(slices: Slices) -> Iterator[Stack]:
    """Any pattern: for each block of queries the key blocks that it touches, and the exact mask within.

    Blocks of queries are grouped by how much they read, to the next power of two, so that padding stays below half.
    """
    row, key = _edges(slices)
    touched = np.zeros((-(-slices.n // FALLBACK_BLOCK),) * 2, dtype=np.bool_)
    touched[row // FALLBACK_BLOCK, key // FALLBACK_BLOCK] = True
    counts = touched.sum(axis=1)
    bucket = np.ceil(np.log2(np.maximum(counts, 1))).astype(int)
    for kind in np.unique(bucket):
        chosen = np.flatnonzero(bucket == kind)
        yield Stack((_bucket(slices, touched, chosen),))


def _bucket(slices: Slices, touched: Bools, chosen: Ints) -> Part:
    n, size = slices.n, FALLBACK_BLOCK
    place = np.where(touched[chosen], np.cumsum(touched[chosen], axis=1) - 1, -1)
    width = max(int(place.max(initial=0)) + 1, 1)
    table = np.full((len(chosen), width), -1, dtype=np.int64)
    tile, block = np.nonzero(touched[chosen])
    table[tile, place[tile, block]] = block

    def full() -> Bools:
        tile_of = np.full(len(touched), -1)
        tile_of[chosen] = np.arange(len(chosen))
        row, key = _edges(slices)
        mine = tile_of[row // size] >= 0
        row, key = row[mine], key[mine]
        tile = tile_of[row // size]
        mask = np.zeros((1, len(chosen), size, width * size), dtype=np.bool_)
        mask[0, tile, row % size, place[tile, key // size] * size + key % size] = True
        return mask

    return Part(n, NATURAL, NATURAL, size, size, table=table[None], tiles=chosen, full=full)


def _edges(slices: Slices) -> tuple[Ints, Ints]:
    return np.repeat(slices.row, slices.counts), slices.csr()[1]


def _grouped(group: Ints, n: int) -> Part:
    """Tokens that share a group read each other: one tile a group, padded to the largest."""
    sizes = np.bincount(group)
    size = int(sizes.max())
    order = np.argsort(group, kind="stable")
    tokens = np.full((len(sizes), size), -1, dtype=np.int64)
    within = np.arange(n) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    tokens[group[order], within] = order
    view = View("select", tokens=tokens.ravel())
    return _masked(Part(n, view, view, size, size, shifts=(0,)))


def _needed(relative: Bools) -> Bools | None:
    """The mask, or None where it would mask nothing."""
    return None if bool(relative.all()) else relative


def _masked(part: Part) -> Part:
    """The part with the mask of its padding, where there is any; one of no pairs as it is, for `lower` to drop."""
    if not part.executed:
        return part
    ok = part.keys() >= 0
    return part if bool(ok.all()) else _replace_key_ok(part, ok)


def _replace_key_ok(part: Part, ok: Bools) -> Part:
    return replace(part, key_ok=ok)


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
