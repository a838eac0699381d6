"""From a pattern expression to a plan of tiles: each primitive by its structure, anything else through its slices."""

from __future__ import annotations

import numpy as np

from attnprof.layers.lowering.global_tokens import (
    contains,
    global_columns,
    global_rows,
    has_tokens,
    of_the_past,
    without_columns,
)
from attnprof.layers.lowering.masks import TooWide, masked
from attnprof.layers.lowering.parts import ONE_TILE, tiles
from attnprof.layers.lowering.tiling import NATURAL, TilePart, TilePlan, TileStack
from attnprof.layers.lowering.touched import from_tiles
from attnprof.pattern import (
    Band,
    Blocks,
    BlockTable,
    Dense,
    Expr,
    FramedBlocks,
    Global,
    GridWindows,
    Halo,
    KeyTable,
    Offsets,
    Past,
    Strided,
    Summary,
    Union,
)

LAGS = (Dense, Band, Strided, Offsets)


def lower(expr: Expr, n: int) -> TilePlan:
    """The plan that executes exactly the edges of `expr`, each once."""
    terms = without_doubles(expr.parts if isinstance(expr, Union) else (expr,), n)
    try:
        by_structure = _by_structure(terms, n)
    except TooWide:
        by_structure = None
    return by_structure if by_structure is not None else TilePlan(n, tuple(from_tiles(expr, n)))


def without_doubles(terms: tuple[Expr, ...], n: int) -> tuple[Expr, ...]:
    """The terms of a union without those that one full term contains, all pairs or all of the past."""
    terms = tuple(t.inner if isinstance(t, Past) and of_the_past(t.inner) else t for t in terms)
    terms = tuple(Dense(t.causal) if isinstance(t, Global) and _is_of_all(t, n) else t for t in terms)
    if any(isinstance(t, Dense) and not t.causal for t in terms):
        return (Dense(),)
    if any(isinstance(t, Dense) for t in terms) and all(of_the_past(t) for t in terms):
        return (Dense(causal=True),)
    return terms


def _is_of_all(hub: Global, n: int) -> bool:
    return (hub.rows or hub.columns) and hub.first <= 0 and hub.last >= n


def _is_wide(term: Expr, n: int) -> bool:
    """Whether a term has tiles so large that what it shares with others is better masked in theirs."""
    return isinstance(term, Dense) or (isinstance(term, Strided) and n > ONE_TILE * term.stride)


def _by_structure(terms: tuple[Expr, ...], n: int) -> TilePlan | None:
    """A plan from the primitives themselves, or None where they overlap in a way that only slices can tell.

    Terms without a token of their own (`Global(0)`, an empty window) have no tiles; one row of each query's reads
    nothing where none has any.
    """
    hubs = [t for t in terms if isinstance(t, Global) and has_tokens(t, n)]
    rest = [t for t in terms if not isinstance(t, Global)]
    if len(hubs) > 1 or not _separable(rest) or not all(contains(hub, rest) for hub in hubs):
        return None
    parts = _parts(rest, n)
    if _apart(parts):
        return _one_each(parts, n) if len(rest) == 1 and not hubs else None
    return _with_hub(parts, hubs[0], n) if hubs else TilePlan(n, (TileStack(tuple(parts or [_nothing(n)])),))


def _one_each(parts: list[TilePart], n: int) -> TilePlan:
    return TilePlan(n, tuple(TileStack((part,)) for part in parts))


def _parts(terms: list[Expr], n: int) -> list[TilePart]:
    """The tiles of terms, wide ones first, each without what those before it have."""
    terms = sorted(terms, key=lambda term: not _is_wide(term, n))
    return [part for at, term in enumerate(terms) for part in tiles(term, n, tuple(terms[:at])) if part.executed]


def _with_hub(parts: list[TilePart], hub: Global, n: int) -> TilePlan:
    """The parts of the other terms beside the tokens that all read, and that read all."""
    if hub.columns:
        parts = [*(without_columns(part, hub) for part in parts), global_columns(hub, n)]
    full = (TileStack((global_rows(hub, n),)),) if hub.rows else ()
    return TilePlan(n, (TileStack(tuple(parts or [_nothing(n)])), *full))


def _nothing(n: int) -> TilePart:
    """A row for each query that reads no key."""
    return masked(TilePart(n, NATURAL, NATURAL, 1, 1, table=np.full((1, n, 1), -1)))


def _apart(parts: list[TilePart]) -> bool:
    """Whether each part has query rows of its own, so that there is nothing to merge."""
    return any((part.tiles is not None and not part.joins) or part.q_view.tokens is not None for part in parts)


def _separable(terms: list[Expr]) -> bool:
    """Whether the overlap of these primitives is known from lags, or from a common block, alone."""
    if all(isinstance(term, LAGS) for term in terms):
        return True
    if len(terms) == 1:
        return isinstance(terms[0], (Blocks, BlockTable, FramedBlocks, GridWindows, Halo, KeyTable, Summary))
    own, *others = terms
    if not isinstance(own, Blocks) or own.before or own.after:
        return False
    strides = all(isinstance(term, Strided) and term.stride == own.size for term in others)
    return strides or (len(others) == 1 and _sums_up(others[0], own))


def _sums_up(term: Expr, own: Blocks) -> bool:
    """Whether a term is the summaries of these blocks."""
    return isinstance(term, Summary) and term.stride == own.size and term.causal == own.causal
