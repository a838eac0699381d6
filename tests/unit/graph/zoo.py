"""Stacks of every shape that an engine must understand or refuse, small enough for brute force."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from attnprof.graph.layered import LayeredRelation
from attnprof.pattern import (
    Band,
    Blocks,
    BlockTable,
    Dense,
    Expr,
    Global,
    GridWindows,
    KeyTable,
    Offsets,
    Pattern,
    Segments,
    Slices,
    Slots,
    Strided,
    Summary,
)


def zoo(n: int) -> dict[str, list[Expr]]:
    """The layer kinds of each stack by name, bottom layer first."""
    rng = np.random.default_rng(n)
    blocks = -(-n // 4)
    table = np.concatenate([np.arange(blocks)[:, None], rng.integers(0, blocks, (blocks, 2))], axis=1)
    return {
        "dense": [Dense()],
        "dense-causal": [Dense(True)],
        "identity": [Band(0)],
        "window": [Band(3, 3)],
        "window-lopsided": [Band(5, 2)],
        "window-causal": [Band(5)],
        "window-ahead": [Band(-1, 3)],
        "window-without-self": [Band(-1, 0) | Band(3, -2)],
        "dilated": [Band(3, 3, 2)],
        "dilated-causal": [Band(3, 0, 3)],
        "windows-by-layer": [Band(2, 2), Band(5, 5)],
        "hub": [Band(3, 3) | Global(2)],
        "hub-in-the-middle": [Band(3, 3) | Global(last=7, first=5)],
        "sinks": [Band(5) | Global(2, causal=True)],
        "sinks-by-layer": [Band(5) | Global(2, causal=True), Band(9) | Global(2, causal=True)],
        "sinks-and-self": [Band(0) | Global(1, causal=True)],
        "columns-only": [Band(2, 2) | Global(2, rows=False)],
        "strided": [Band(7) | Strided(7, True)],
        "strided-alternating": [Band(7), Strided(7, True)],
        "strided-other-order": [Strided(7, True), Band(7)],
        "strided-both-ways": [Strided(7) | Band(2, 2)],
        "fixed": [Blocks(8, causal=True) | Summary(8, 6, 8, True)],
        "fixed-alternating": [Blocks(8, causal=True), Summary(8, 6, 8, True)],
        "fixed-other-order": [Summary(8, 6, 8, True), Blocks(8, causal=True)],
        "summary-only": [Summary(8, 6, 8, True)],
        "blocks": [Blocks(8)],
        "blocks-causal-look-back": [Blocks(4, 1, 0, True)],
        "blocks-both-ways": [Blocks(4, 1, 1)],
        "powers": [Offsets((0, 1, 2, 4, 8, 16, 32))],
        "offsets": [Offsets((2, -2, 5, -5))],
        "random-blocks": [BlockTable(4, table)],
        "random-blocks-causal": [BlockTable(4, table, causal=True) | Blocks(4, causal=True)],
        "random-blocks-and-global": [BlockTable(4, table, full=(1,)) | Global(8, 4, rows=False)],
        "random-keys": [KeyTable(rng.integers(0, n, (n, 3)))],
        "many-random-keys": [KeyTable(rng.integers(0, n, (n, 20))) | Band(1)],
        "segments": [Segments((0, 5, 9, 20))],
        "shifted-windows": [GridWindows(8, 4), GridWindows(8, 4, 2)],
        "slots": [Slots.full(n, 4)],
        "pooled-slots": [_pooled(n, 4) | Band(1, 1)],
        "slots-beside-window": [Slots.full(n, 2, Band(2, 2)), Band(1, 1)],
    }


def _pooled(n: int, size: int) -> Slots:
    """Slot s reads one block of tokens; a token reads the slots of the blocks around its own."""
    count = -(-n // size)
    slot, token = np.arange(count), np.arange(n)
    reads = Slices.of(count, slot, slot * size, (slot + 1) * size, 1, n)
    writes = Slices.of(n, token, token // size - 1, token // size + 2, 1, count)
    return Slots(count, reads, writes)


def stack_of(name: str, n: int) -> LayeredRelation:
    """One of the stacks at length n."""
    kinds = zoo(n)[name]
    return LayeredRelation.of(Pattern(name, n, False, lambda layer, head: kinds[layer], layers=len(kinds)))


def masks(stack: LayeredRelation) -> list[NDArray[np.bool_]]:
    """Each layer kind as a token mask `[n, n]`, slots composed by matrix product."""
    found = []
    for part in stack.parts:
        mask = part.tokens().dense()
        if part.ways is not None:
            through = part.ways.writes.dense().astype(np.float64) @ part.ways.reads.dense().astype(np.float64)
            mask |= through > 0
        found.append(mask)
    return found


def brute_hops(stack: LayeredRelation) -> NDArray[np.int64]:
    """The layer after which i first depends on j, `[n, n]`; -1 for never. By dense products, layer by layer."""
    layers = masks(stack)
    reached = np.eye(stack.n, dtype=np.bool_)
    hops = np.where(reached, 0, -1)
    idle, layer = 0, 0
    while idle < len(layers):
        grown = reached | (layers[layer % len(layers)].astype(np.float64) @ reached.astype(np.float64) > 0)
        layer += 1
        hops[grown & ~reached] = layer
        idle = 0 if (grown != reached).any() else idle + 1
        reached = grown
    return hops
