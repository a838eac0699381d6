"""Bit-parallel reach: 64 target tokens to a machine word, one word (or a few) for each query.

Bit b of row i is set when target b is among the tokens that query i depends on. One layer ORs, into every row, the
rows that it reads. Chunks of targets are independent, so memory stays at a few words a row and threads share nothing.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from attnprof.graph.layered import LayeredRelation
from attnprof.graph.pixels import Counts, Grid
from attnprof.graph.reach import Reach, ReachRequest, ReachTally, kept
from attnprof.graph.relation import SlotWays
from attnprof.machine import usable_cores
from attnprof.pattern import Slices
from attnprof.pattern.slices import Ints

WORTH_COMPILING = 1 << 26
"""Word operations of one layer from which loading numba pays (some 0.3 s)."""

Words = NDArray[np.uint64]
PushPlan = Callable[[Words, Words], None]
"""`plan(source [m, W], out [n, W])` ORs into each row of `out` the rows of `source` that it reads."""

Planner = Callable[[Slices], PushPlan]

BitCounter = Callable[[Words, Words, NDArray[np.uint8], NDArray[np.uint32], Words], int]
"""`count(state, grown, pops, counts, touched)` leaves the new bits in `state`; says how many there are, and where."""


class Search(NamedTuple):
    """How a search goes about it: the plan of a relation, how new bits are counted, words a row (0: by the cache)."""

    plan: Planner
    tally: BitCounter
    words: int = 0


@dataclass(eq=False)
class Found:
    """What the chunks of one thread have found.

    `fresh[k][i]` counts the new targets of query i at layer k + 1, `images[k]` those of each pixel; `into[j]` is the
    last layer at which a query came to depend on target j. `cut`: the asked number of layers ended a search.
    `readers[k][j]` counts the queries new to target j at layer k + 1, where that was asked for.
    """

    into: Ints
    fresh: list[NDArray[np.uint32]] = field(default_factory=list)
    images: list[Counts] = field(default_factory=list)
    cut: bool = False
    readers: list[Ints] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class BitSearch:
    """One search: the plans of the layer kinds, words a row, the most layers, the pixels of the picture.

    `by_target` asks for the counts of each target as well.
    """

    stack: LayeredRelation
    plans: list[PushPlan]
    count: BitCounter
    width: int
    layers: int | None
    grid: Grid | None
    by_target: bool = False


@cache
def compiler_installed() -> bool:
    """Whether numba can be imported."""
    return importlib.util.find_spec("numba") is not None


def worth_compiling(stack: LayeredRelation, edges: bool) -> bool:
    """Whether a search of so much work, edge by edge or slice by slice, should be compiled: small ones end sooner."""
    reads = max(sum(part.edges if edges else len(part.row) for part in parts) for parts in stack.relations)
    return stack.n * reads // 64 >= WORTH_COMPILING and compiler_installed()


def layer_plan(direct_edges: Slices, ways: SlotWays | None, planner: Planner) -> PushPlan:
    """The plan of one layer; slots are read first, then read by the tokens."""
    direct = planner(direct_edges)
    if ways is None:
        return direct
    reads, writes, count = planner(ways.reads), planner(ways.writes), ways.count

    def through(source: Words, out: Words) -> None:
        slots = np.zeros((count, source.shape[1]), dtype=np.uint64)
        reads(source, slots)
        writes(slots, out)
        direct(source, out)

    return through


def search(
    stack: LayeredRelation,
    ask: ReachRequest,
    means: Planner | Search,
    targets: Ints | None = None,
    *,
    by_target: bool = False,
) -> Found:
    """Which queries come to depend on the targets (default: all tokens), layer by layer, over threads."""
    planner, count, words = means if isinstance(means, Search) else Search(means, count_new)
    wanted = np.arange(stack.n) if targets is None else targets
    width = words or chunk_words(stack.n, len(wanted))
    chunks = [wanted[at : at + 64 * width] for at in range(0, len(wanted), 64 * width)]
    plans = [layer_plan(edges, part.ways, planner) for edges, part in zip(stack.tokens, stack.parts, strict=True)]
    job = BitSearch(stack, plans, count, width, ask.layers, ask.grid(stack.n) if targets is None else None, by_target)
    workers = min(ask.threads or usable_cores(), len(chunks))
    if workers == 1:
        return _work(job, chunks)
    with ThreadPoolExecutor(workers) as pool:
        return _joined(list(pool.map(lambda worker: _work(job, chunks[worker::workers]), range(workers))))


def chunk_words(n: int, targets: int) -> int:
    """Words a row: as many as keep one buffer near half a megabyte, so that a layer is computed in cache."""
    return max(1, min(16, 65536 // n, -(-targets // 64)))


def _work(job: BitSearch, chunks: Sequence[Ints]) -> Found:
    found = Found(np.zeros(job.stack.n, dtype=np.int64))
    for chunk in chunks:
        _chunk(job, chunk, found)
    return found


def _chunk(job: BitSearch, chunk: Ints, found: Found) -> None:
    stack, plans = job.stack, job.plans
    state = np.zeros((stack.n, job.width), dtype=np.uint64)
    bit = np.arange(len(chunk))
    state[chunk, bit // 64] = np.uint64(1) << (bit % 64).astype(np.uint64)
    grown, pops = np.empty_like(state), np.empty(state.shape, dtype=np.uint8)
    left = int((stack.n - chunk).sum() if stack.causal else stack.n * len(chunk)) - len(chunk)
    idle, layer = 0, 0
    while left > 0 and idle < len(plans):
        if job.layers is not None and layer >= job.layers:
            found.cut = True
            break
        np.copyto(grown, state)
        plans[layer % len(plans)](state, grown)
        new = _counted(found, layer, job, (state, grown, pops), chunk)
        state, grown = grown, state
        layer += 1
        left -= new
        idle = 0 if new else idle + 1


def count_new(state: Words, grown: Words, pops: NDArray[np.uint8], counts: NDArray[np.uint32], touched: Words) -> int:
    """The counter in NumPy: one pass over the words for each thing to know."""
    np.bitwise_xor(grown, state, out=state)
    np.bitwise_count(state, out=pops)
    mine = pops[:, 0] if pops.shape[1] == 1 else pops.sum(axis=1, dtype=np.uint32)
    new = int(mine.sum(dtype=np.int64))
    if new:
        counts += mine
        touched |= np.bitwise_or.reduce(state, axis=0)
    return new


def _counted(
    found: Found, layer: int, job: BitSearch, words: tuple[Words, Words, NDArray[np.uint8]], chunk: Ints
) -> int:
    """Add one layer's new bits to the tallies; returns how many there are."""
    state, grown, pops = words
    if len(found.fresh) == layer:
        found.fresh.append(np.zeros(len(state), dtype=np.uint32))
        if job.grid is not None:
            found.images.append(np.zeros((job.grid.side, job.grid.side), dtype=np.int64))
        if job.by_target:
            found.readers.append(np.zeros(len(state), dtype=np.int64))
    touched = np.zeros(state.shape[1], dtype=np.uint64)
    new = int(job.count(state, grown, pops, found.fresh[layer], touched))
    if new == 0:
        return 0
    bits = np.unpackbits(touched.view(np.uint8), bitorder="little")[: len(chunk)]
    found.into[chunk[bits.astype(np.bool_)]] = layer + 1
    if job.grid is not None:
        _paint(found.images[layer], state, pops, chunk, job.grid)
    if job.by_target:
        found.readers[layer][chunk] += column_counts(state)[: len(chunk)]
    return new


def column_counts(words: Words) -> Ints:
    """How often each bit is set over the rows of `words [n, W]`, `[64 W]`: eight counters of a byte add at a time."""
    lanes, rows = np.uint64(0x0101010101010101), 255
    padded = np.zeros((-(-len(words) // rows) * rows, words.shape[1]), dtype=np.uint64)
    padded[: len(words)] = words
    counts = np.zeros((words.shape[1], 8, 8), dtype=np.int64)
    for bit in range(8):
        ones = (padded >> np.uint64(bit)) & lanes
        sums = np.ascontiguousarray(ones.reshape(-1, rows, words.shape[1]).sum(axis=1, dtype=np.uint64))
        octets = sums.astype("<u8").view(np.uint8).reshape(len(sums), words.shape[1], 8)
        counts[:, :, bit] = octets.sum(axis=0, dtype=np.int64)
    return counts.ravel()


def _paint(image: Counts, fresh: Words, pops: NDArray[np.uint8], chunk: Ints, grid: Grid) -> None:
    """Add the new pairs of a chunk of neighbouring targets to the pixels they lie in."""
    if grid.size >= 64:
        parts = pops
        first = (chunk[0] + np.arange(pops.shape[1]) * 64) // grid.size
    else:
        parts = _small_pixels(fresh, grid.size)
        first = chunk[0] // grid.size + np.arange(parts.shape[1])
    inside = first < grid.side
    rows = np.add.reduceat(parts[:, inside], grid.edges[:-1], axis=0, dtype=np.int64)
    np.add.at(image.T, first[inside], rows.T)


def _small_pixels(fresh: Words, size: int) -> NDArray[np.uint8]:
    """Set bits in each group of `size` targets, `[n, W * 64 / size]`."""
    octets = np.ascontiguousarray(fresh).view(np.uint8)
    if size >= 8:
        return np.bitwise_count(octets.view(f"<u{size // 8}"))
    bits = np.unpackbits(octets, axis=1, bitorder="little")
    return bits.reshape(len(fresh), -1, size).sum(axis=2, dtype=np.uint8)


def _joined(parts: Sequence[Found]) -> Found:
    into = np.maximum.reduce([part.into for part in parts])
    whole = Found(into, cut=any(part.cut for part in parts))
    depth = max(len(part.fresh) for part in parts)
    for layer in range(depth):
        whole.fresh.append(np.add.reduce([part.fresh[layer] for part in parts if layer < len(part.fresh)]))
        mine = [part.images[layer] for part in parts if layer < len(part.images)]
        if mine:
            whole.images.append(np.add.reduce(mine))
        each = [part.readers[layer] for part in parts if layer < len(part.readers)]
        if each:
            whole.readers.append(np.add.reduce(each))
    return whole


def to_reach(stack: LayeredRelation, ask: ReachRequest, found: Found) -> Reach:
    """The record of a search over all targets."""
    n = stack.n
    tally = ReachTally(stack, ask.grid(n))
    counts, out = np.ones(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
    image = np.zeros(0, dtype=np.int64)
    if tally.grid is not None:
        image = np.diag(tally.grid.widths)
    for layer, fresh in enumerate(found.fresh, start=1):
        counts = counts + fresh
        out[fresh > 0] = layer
        if tally.grid is not None:
            image = image + found.images[layer - 1]
        tally.add(layer, counts, image if tally.grid is not None and kept(layer) else None)
    return tally.result(out, found.into, not found.cut, counts)
