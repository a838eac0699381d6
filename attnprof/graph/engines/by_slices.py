"""Bit-parallel reach by range-OR over slices: exact for every pattern, its cost independent of a window's width.

A slice of c keys is covered by two runs of 2^l keys (l = floor(log2 c)), and runs of all keys of one level come from
those of the level below by a single OR: the sparse table of range queries, walked once a layer.

Where slices begin and end at few tokens, and neighbouring rows hold the same slices, keys between two neighbouring ends
are read together or not at all: one OR for each segment of keys and one search over groups of rows replace a search
over tokens. Unlike the block quotient this asks nothing of other layers, of self-loops or of equal block sizes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from attnprof.graph.engines.bits import Planner, PushPlan, Words, search, to_reach, worth_compiling
from attnprof.graph.layered import LayeredRelation
from attnprof.graph.reach import Reach, ReachRequest
from attnprof.pattern import Slices
from attnprof.pattern.slices import Ints

LONG_RUN = 2048
MANY = 8
WORTH = 8
"""Tokens to a segment and rows to a group, on average, from which reading by segments pays."""

Piece = tuple[slice, slice, slice]
"""Rows of the output, and the two runs of the source that they read, all contiguous."""


@dataclass(frozen=True, eq=False)
class Rank:
    """Slices of one step and level, at most one a row: `row` reads the runs at `low` and `high`."""

    row: Ints
    low: Ints
    high: Ints
    single: bool


@dataclass(frozen=True, eq=False)
class ReadLevel:
    """What is read at one level: contiguous pieces, scattered ranks, and rows with many slices for a segmented OR."""

    pieces: tuple[Piece, ...]
    ranks: tuple[Rank, ...]
    many: tuple[Ints, Ints, Ints] | None


def run(stack: LayeredRelation, ask: ReachRequest) -> Reach:
    """The exact answer for any stack."""
    if not worth_compiling(stack, edges=False):
        return to_reach(stack, ask, search(stack, ask, plan))
    from attnprof.graph.engines import compiled

    reach = to_reach(stack, ask, search(stack, ask, compiled.slices_search()))
    return replace(reach, engine="slices (numba)")


def plan(slices: Slices) -> PushPlan:
    """The range-OR of one relation, prepared: over its blocks where it has some."""
    blocks = coarse(slices)
    return _plan(slices) if blocks is None else blocks.plan(_plan)


def _plan(slices: Slices) -> PushPlan:
    steps = [(step, _levels(slices.take(slices.step == step))) for step in np.unique(slices.step).tolist()]

    def into(source: Words, out: Words) -> None:
        for step, levels in steps:
            _walk(source, out, step, levels)

    return into


def _levels(slices: Slices) -> list[ReadLevel | None]:
    counts = slices.counts
    level = np.frexp(counts.astype(np.float64))[1] - 1
    high = slices.start + (counts - (1 << level)) * slices.step
    found: list[ReadLevel | None] = []
    for at in range(int(level.max()) + 1):
        mine = level == at
        found.append(_level(slices.row[mine], slices.start[mine], high[mine]) if mine.any() else None)
    return found


def _level(row: Ints, low: Ints, high: Ints) -> ReadLevel:
    pieces, rest = _pieces(row, low, high)
    row, low, high = row[rest], low[rest], high[rest]
    if len(row) == 0:
        return ReadLevel(pieces, (), None)
    first = np.concatenate([[True], row[1:] != row[:-1]])
    starts = np.flatnonzero(first)
    rank = np.arange(len(row)) - np.repeat(starts, np.diff(np.append(starts, len(row))))
    if int(rank.max()) >= MANY:
        both = np.stack([low, high], axis=1).ravel()
        return ReadLevel(pieces, (), (row[first], both, 2 * starts))
    ranks = []
    for number in range(int(rank.max()) + 1):
        mine = rank == number
        ranks.append(Rank(row[mine], low[mine], high[mine], bool((low[mine] == high[mine]).all())))
    return ReadLevel(pieces, tuple(ranks), None)


def _pieces(row: Ints, low: Ints, high: Ints) -> tuple[tuple[Piece, ...], np.ndarray]:
    """Long runs in which row, low and high all advance by one; and which slices are in none."""
    rest = np.ones(len(row), dtype=np.bool_)
    breaks = (np.diff(row) != 1) | (np.diff(low) != 1) | (np.diff(high) != 1)
    edges = np.concatenate([[0], np.flatnonzero(breaks) + 1, [len(row)]])
    pieces: list[Piece] = []
    for at in np.flatnonzero(np.diff(edges) >= LONG_RUN).tolist():
        first, size = int(edges[at]), int(edges[at + 1] - edges[at])
        rest[first : first + size] = False
        spans = (int(start[first]) for start in (row, low, high))
        r, a, b = (slice(start, start + size) for start in spans)
        pieces.append((r, a, b))
    return tuple(pieces), rest


def _walk(source: Words, out: Words, step: int, levels: list[ReadLevel | None]) -> None:
    """OR every slice of one step into `out`, doubling the runs of the source from level to level."""
    runs = source
    buffers = (np.empty_like(source), np.empty_like(source)) if len(levels) > 1 else None
    for at, level in enumerate(levels):
        if level is not None:
            _apply(runs, out, level)
        if buffers is not None and at + 1 < len(levels):
            shift = step << at
            target = buffers[at % 2][: len(runs) - shift]
            np.bitwise_or(runs[:-shift], runs[shift:], out=target)
            runs = target


def _apply(runs: Words, out: Words, level: ReadLevel) -> None:
    for rows, low, high in level.pieces:
        np.bitwise_or(out[rows], runs[low], out=out[rows])
        if low != high:
            np.bitwise_or(out[rows], runs[high], out=out[rows])
    for rank in level.ranks:
        read = runs.take(rank.low, axis=0)
        if not rank.single:
            read |= runs.take(rank.high, axis=0)
        out[rank.row] |= read
    if level.many is not None:
        rows, keys, starts = level.many
        out[rows] |= np.bitwise_or.reduceat(runs.take(keys, axis=0), starts, axis=0)


@dataclass(frozen=True, eq=False)
class Coarse:
    """Slices over segments: `segments` are their first keys, `stop` ends the last, `group [n]` is each row's group."""

    slices: Slices
    segments: Ints
    stop: int
    group: Ints

    def plan(self, planner: Planner) -> PushPlan:
        """The plan of the tokens by that of the groups."""
        groups = planner(self.slices)

        def into(source: Words, out: Words) -> None:
            parts = np.bitwise_or.reduceat(source[: self.stop], self.segments, axis=0)
            read = np.zeros((self.slices.n, source.shape[1]), dtype=np.uint64)
            groups(parts, read)
            np.bitwise_or(out, read.take(self.group, axis=0), out=out)

        return into


def coarse(slices: Slices) -> Coarse | None:
    """The relation over segments of keys and groups of rows; None where it would save little."""
    if len(slices.row) == 0 or bool((slices.step > 1).any()):
        return None
    ends = np.unique(np.concatenate([slices.start, slices.stop]))
    if len(ends) * WORTH > slices.m:
        return None
    differs = _differs(slices)
    group = np.cumsum(differs) - 1
    if (int(group[-1]) + 1) * WORTH > slices.n:
        return None
    kept = slices.take(differs[slices.row])
    start, stop = np.searchsorted(ends, kept.start), np.searchsorted(ends, kept.stop)
    grouped = Slices.of(int(group[-1]) + 1, group[kept.row], start, stop, m=len(ends) - 1)
    return Coarse(grouped, ends[:-1], int(ends[-1]), group)


def _differs(slices: Slices) -> np.ndarray:
    """Whether each row holds other slices than the row before it, `[n]`."""
    held = np.bincount(slices.row, minlength=slices.n)
    same = np.zeros(slices.n, dtype=np.bool_)
    same[1:] = held[1:] == held[:-1]
    mine = np.flatnonzero(same[slices.row])
    row = slices.row[mine]
    twin = mine - held[row]
    other = (slices.start[mine] != slices.start[twin]) | (slices.stop[mine] != slices.stop[twin])
    same[row[other]] = False
    return ~same
