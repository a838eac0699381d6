"""Every pattern in tiles of 64 x 64: which of them it touches, found without listing edges, and its mask within."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from attnprof.errors import TooLarge
from attnprof.layers.lowering.tiling import NATURAL, TilePart, TileStack
from attnprof.pattern import Expr, Slices
from attnprof.pattern.slices import Bools, Ints

BLOCK = 64
MOST_TILES = 1 << 22


def from_tiles(expr: Expr, n: int) -> Iterator[TileStack]:
    """For each block of queries the key blocks that it touches, and the exact mask within, made with the tensors.

    Blocks of queries are grouped by how much they read, to the next power of two, so that padding stays below half.
    Raises `TooLarge` where the tiles are too many to be listed.
    """
    own, key = touched(expr, n)
    counts = np.bincount(own, minlength=-(-n // BLOCK))
    bucket = np.ceil(np.log2(np.maximum(counts, 1))).astype(int)
    first = np.cumsum(counts) - counts
    for kind in np.unique(bucket):
        chosen = np.flatnonzero(bucket == kind)
        yield TileStack((_bucket(expr, n, chosen, [key[first[t] : first[t] + counts[t]] for t in chosen]),))


def touched(expr: Expr, n: int) -> tuple[Ints, Ints]:
    """The tiles with an edge, as blocks of queries, ascending, and blocks of keys."""
    lags = expr.by_lag(n)
    found = _by_lag(expr, lags, n) if lags is not None else _by_pieces(expr, n)
    return found // _blocks(n), found % _blocks(n)


def _blocks(n: int) -> int:
    return -(-n // BLOCK)


def _by_lag(expr: Expr, lags: Bools, n: int) -> Ints:
    """Tiles whose difference of blocks holds a lag that is read; lags lie at n - 1 + lag."""
    blocks = _blocks(n)
    sums = np.concatenate([[0], np.cumsum(lags)])
    apart = np.arange(1 - blocks, blocks) * BLOCK + n - 1
    low, high = (np.clip(at, 0, len(lags)) for at in (apart - BLOCK + 1, apart + BLOCK))
    live = np.flatnonzero(sums[high] > sums[low]) + 1 - blocks
    _check(expr, int((blocks - np.abs(live)).sum()), n)
    own = [np.arange(max(lag, 0), blocks + min(lag, 0)) for lag in live.tolist()]
    codes = [at * blocks + at - lag for at, lag in zip(own, live.tolist(), strict=True)]
    return np.sort(np.concatenate(codes)) if codes else np.zeros(0, dtype=np.int64)


def _by_pieces(expr: Expr, n: int) -> Ints:
    found, held = [np.zeros(0, dtype=np.int64)], 0
    for piece in expr.pieces(n):
        found.append(np.unique(_tiles_of(piece)))
        held += len(found[-1])
        _check(expr, held, n)
    return np.unique(np.concatenate(found))


def _tiles_of(piece: Slices) -> Ints:
    """The tiles that some slices touch, as block of queries * blocks + block of keys."""
    if len(piece.row) == 0:
        return np.zeros(0, dtype=np.int64)
    blocks, low = _blocks(piece.n), int(piece.row[0]) // BLOCK
    near = piece.step <= BLOCK  # a slice of short steps touches every block from its first to its last
    ahead = np.zeros((int(piece.row[-1]) // BLOCK - low + 1, blocks + 1), dtype=np.int32)
    own = piece.row // BLOCK - low
    np.add.at(ahead, (own[near], piece.start[near] // BLOCK), 1)
    np.add.at(ahead, (own[near], (piece.stop[near] - 1) // BLOCK + 1), -1)
    hit = np.cumsum(ahead, axis=1)[:, :blocks] > 0
    at, own, stop, step = piece.start[~near], own[~near], piece.stop[~near], piece.step[~near]
    while len(at):
        hit[own, at // BLOCK] = True
        left = at + step < stop
        at, own, stop, step = (at + step)[left], own[left], stop[left], step[left]
    return np.flatnonzero(hit) + low * blocks


def _check(expr: Expr, tiles: int, n: int) -> None:
    if tiles > MOST_TILES:
        raise TooLarge(
            f"{type(expr).__name__} at n = {n} touches more than {MOST_TILES:,} tiles of {BLOCK} x {BLOCK} in no order "
            "that a primitive knows: their table alone would take hundreds of megabytes",
            hint="a shorter n, or a pattern of fewer overlapping primitives",
        )


def _bucket(expr: Expr, n: int, chosen: Ints, keys: list[Ints]) -> TilePart:
    width = max(max(map(len, keys)), 1)
    table = np.full((len(chosen), width), -1, dtype=np.int64)
    for row, blocks in zip(table, keys, strict=True):
        row[: len(blocks)] = blocks

    def full() -> Bools:
        read, mask = expr.reader(n), np.zeros((1, len(chosen), BLOCK, width, BLOCK), dtype=np.bool_)
        for tile, block in enumerate(chosen.tolist()):
            rows = dense_rows(read(block * BLOCK, min((block + 1) * BLOCK, n)), block * BLOCK)
            mask[0, tile, :, : len(keys[tile])] = rows[:, keys[tile]]
        return mask.reshape(1, len(chosen), BLOCK, width * BLOCK)

    return TilePart(n, NATURAL, NATURAL, BLOCK, BLOCK, table=table[None], tiles=chosen, full=full)


def dense_rows(slices: Slices, first: int) -> Bools:
    """The mask of `BLOCK` rows from `first` on over blocks of keys, `[BLOCK, blocks, BLOCK]`, padding False."""
    mask = np.zeros((BLOCK, _blocks(slices.m) * BLOCK), dtype=np.bool_)
    indptr, indices = slices.csr()
    mask[np.repeat(np.arange(slices.n), np.diff(indptr)) - first, indices] = True
    return mask.reshape(BLOCK, -1, BLOCK)
