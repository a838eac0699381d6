"""Random expressions of every primitive, degenerate ones among them, beside what each means pair by pair.

A meaning is written from the primitive's one line, in plain Python on two integers: it shares nothing with slices,
rules or plans.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st

from attnprof.pattern import (
    Axis,
    Band,
    Blocks,
    BlockTable,
    Dense,
    Explicit,
    Expr,
    FramedBlocks,
    Global,
    GridWindows,
    Halo,
    KeyTable,
    Neighbourhood,
    Offsets,
    Segments,
    Slices,
    Strided,
    Summary,
    Union,
)

Meaning = Callable[[int, int], bool]


class Meant(NamedTuple):
    """An expression, and whether query i reads key j."""

    expr: Expr
    reads: Meaning


def past(meaning: Meaning, causal: bool) -> Meaning:
    """The meaning, under causality with j <= i."""
    return (lambda i, j: meaning(i, j) and j <= i) if causal else meaning


@st.composite
def bands(draw: st.DrawFn, n: int) -> Meant:
    """Bands: narrow, wide, of the future alone, of no key at all, of lags beyond the sequence."""
    before, after, step = draw(st.integers(-3, n + 2)), draw(st.integers(-3, n + 2)), draw(st.integers(1, 4))
    return Meant(
        Band(before, after, step),
        lambda i, j: (j - i) % step == 0 and -before <= (j - i) // step <= after,
    )


@st.composite
def strides(draw: st.DrawFn, n: int) -> Meant:
    """Strides, longer than the sequence too."""
    stride, causal = draw(st.integers(1, n + 3)), draw(st.booleans())
    return Meant(Strided(stride, causal), past(lambda i, j: (i - j) % stride == 0, causal))


@st.composite
def offsets(draw: st.DrawFn, n: int) -> Meant:
    """Lags, repeated, of both signs, beyond the sequence, or none."""
    lags = tuple(draw(st.lists(st.integers(-n - 2, n + 2), max_size=4)))
    return Meant(Offsets(lags), lambda i, j: i - j in lags)


@st.composite
def summaries(draw: st.DrawFn, n: int) -> Meant:
    """Summary columns, none of them too."""
    stride, causal = draw(st.integers(1, n + 3)), draw(st.booleans())
    first, last = draw(st.integers(0, stride)), draw(st.integers(0, stride))
    return Meant(Summary(stride, first, last, causal), past(lambda i, j: first <= j % stride < last, causal))


@st.composite
def blocks(draw: st.DrawFn, n: int) -> Meant:
    """Blocks and neighbours, of none too."""
    size, causal = draw(st.integers(1, n + 3)), draw(st.booleans())
    before, after = draw(st.integers(-2, 3)), draw(st.integers(-2, 3))
    return Meant(
        Blocks(size, before, after, causal), past(lambda i, j: -before <= j // size - i // size <= after, causal)
    )


@st.composite
def halos(draw: st.DrawFn, n: int) -> Meant:
    """Blocks with a memory around them."""
    size, causal = draw(st.integers(1, n + 3)), draw(st.booleans())
    before, after = draw(st.integers(-2, n + 2)), draw(st.integers(-2, n + 2))

    def reads(i: int, j: int) -> bool:
        first = i // size * size
        return first - before <= j < first + size + after

    return Meant(Halo(size, before, after, causal), past(reads, causal))


@st.composite
def frames(draw: st.DrawFn, n: int) -> Meant:
    """Blocks of pixels with a frame."""
    across, side, frame = draw(st.integers(1, 4)), draw(st.integers(1, 4)), draw(st.integers(0, 5))

    def at(token: int) -> tuple[int, int]:
        block, inside = divmod(token, side * side)
        return block // across * side + inside // side, block % across * side + inside % side

    def reads(i: int, j: int) -> bool:
        block = i // (side * side)
        top, left = block // across * side, block % across * side
        row, column = at(j)
        return j <= i and row >= top - frame and left - frame <= column < left + side + frame

    return Meant(FramedBlocks(across, side, frame), reads)


@st.composite
def grids(draw: st.DrawFn, n: int) -> Meant:
    """Windows of a grid."""
    width, window, shift = draw(st.integers(1, n + 2)), draw(st.integers(1, 6)), draw(st.integers(-3, 7))

    def cell(at: int) -> int:
        return (at - shift) // window

    return Meant(
        GridWindows(width, window, shift),
        lambda i, j: cell(i // width) == cell(j // width) and cell(i % width) == cell(j % width),
    )


@st.composite
def neighbourhoods(draw: st.DrawFn, n: int) -> Meant:
    """Windows that move inwards at the ends of a line, or of a grid whose last row may be short."""
    causal, kernel, step = draw(st.booleans()), draw(st.integers(1, n + 2)), draw(st.integers(1, 4))

    def on_line(length: int, i: int, j: int) -> bool:
        alike = list(range(i % step, length, step))
        start = alike.index(i) - kernel + 1 if causal else min(alike.index(i) - kernel // 2, len(alike) - kernel)
        stop = alike.index(i) + 1 if causal else max(start, 0) + kernel
        return j in alike[max(start, 0) : stop]

    if draw(st.booleans()):
        return Meant(Neighbourhood(Axis(n, kernel, step, causal)), lambda i, j: on_line(n, i, j))
    width = draw(st.integers(1, n + 1))
    down = -(-n // width)
    return Meant(
        Neighbourhood(Axis(width, kernel, step, causal), Axis(down, kernel, step, causal)),
        lambda i, j: on_line(down, i // width, j // width) and on_line(width, i % width, j % width),
    )


@st.composite
def hubs(draw: st.DrawFn, n: int) -> Meant:
    """Global tokens: none, all, beyond the sequence, rows or columns alone."""
    last, first = draw(st.integers(0, n + 3)), draw(st.integers(-2, n + 3))
    rows, columns, causal = draw(st.booleans()), draw(st.booleans()), draw(st.booleans())
    return Meant(
        Global(last, first, rows, columns, causal),
        past(lambda i, j: (rows and first <= i < last) or (columns and first <= j < last), causal),
    )


@st.composite
def block_tables(draw: st.DrawFn, n: int) -> Meant:
    """Tables of blocks with repetitions, short rows, full rows, or of no column."""
    size, causal = draw(st.integers(1, n + 3)), draw(st.booleans())
    count, width = -(-n // size), draw(st.integers(0, 3))
    rows = [[draw(st.integers(-1, count - 1)) for _ in range(width)] for _ in range(count)]
    full = tuple(draw(st.sets(st.integers(0, count - 1), max_size=2)))
    table = np.array(rows, dtype=np.int64).reshape(count, width)
    return Meant(
        BlockTable(size, table, full, causal),
        past(lambda i, j: i // size in full or j // size in rows[i // size], causal),
    )


@st.composite
def key_tables(draw: st.DrawFn, n: int) -> Meant:
    """Tables of keys with repetitions and short rows, or of no column."""
    width = draw(st.integers(0, 4))
    rows = [[draw(st.integers(-1, n - 1)) for _ in range(width)] for _ in range(n)]
    return Meant(KeyTable(np.array(rows, dtype=np.int64).reshape(n, width)), lambda i, j: j in rows[i])


@st.composite
def segments(draw: st.DrawFn, n: int) -> Meant:
    """Segments, of which the first may be unnamed, some empty, some beyond the sequence."""
    bounds, causal = tuple(sorted(draw(st.lists(st.integers(0, n + 2), max_size=4)))), draw(st.booleans())
    return Meant(
        Segments(bounds, causal), past(lambda i, j: not any(min(i, j) < cut <= max(i, j) for cut in bounds), causal)
    )


@st.composite
def explicit(draw: st.DrawFn, n: int) -> Meant:
    """Slices that name some edge twice."""
    pairs = draw(st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=6))
    pairs += pairs[:2]
    row, key = (np.array([pair[at] for pair in pairs], dtype=np.int64) for at in (0, 1))
    return Meant(Explicit(Slices.of(n, row, key, key + 1)), lambda i, j: (i, j) in pairs)


@st.composite
def dense(draw: st.DrawFn, n: int) -> Meant:
    """Every pair."""
    causal = draw(st.booleans())
    return Meant(Dense(causal), past(lambda i, j: True, causal))


PRIMITIVES = (
    bands,
    strides,
    offsets,
    summaries,
    blocks,
    halos,
    frames,
    grids,
    neighbourhoods,
    hubs,
    block_tables,
    key_tables,
    segments,
    explicit,
    dense,
)


@st.composite
def primitives(draw: st.DrawFn, n: int) -> Meant:
    """One primitive."""
    return draw(draw(st.sampled_from(PRIMITIVES))(n))


@st.composite
def unions(draw: st.DrawFn, n: int) -> Meant:
    """Two or three primitives under one softmax, or the past of them."""
    parts = [draw(primitives(n)) for _ in range(draw(st.integers(2, 3)))]
    whole: Expr = Union(tuple(part.expr for part in parts))
    found = Meant(whole, lambda i, j: any(part.reads(i, j) for part in parts))
    return Meant(whole.past(), past(found.reads, True)) if draw(st.booleans()) and draw(st.booleans()) else found


@st.composite
def lag_unions(draw: st.DrawFn, n: int) -> Meant:
    """Unions that plans take apart by structure: bands, strides, lags, blocks with summaries, and global tokens."""
    causal, size = draw(st.booleans()), draw(st.integers(1, n + 1))
    own = Meant(Blocks(size, causal=causal), past(lambda i, j: i // size == j // size, causal))
    matching = Meant(Strided(size, causal), past(lambda i, j: (i - j) % size == 0, causal))
    first, last = draw(st.integers(0, size)), draw(st.integers(0, size))
    summary = Meant(Summary(size, first, last, causal), past(lambda i, j: first <= j % size < last, causal))
    kinds = ([own], [own, matching], [own, summary], [draw(bands(n)), matching], [draw(bands(n)), draw(offsets(n))])
    parts = [*draw(st.sampled_from(kinds)), *([draw(hubs(n))] if draw(st.booleans()) else [])]
    return Meant(Union(tuple(p.expr for p in parts)), lambda i, j: any(p.reads(i, j) for p in parts))


def mask_of(reads: Meaning, n: int) -> np.ndarray:
    """The mask `[n, n]` of a meaning."""
    return np.array([[reads(i, j) for j in range(n)] for i in range(n)], dtype=np.bool_)
