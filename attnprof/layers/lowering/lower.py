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
    rest.sort(key=lambda term: not _is_wide(term, n))
    parts = [part for at, term in enumerate(rest) for part in tiles(term, n, tuple(rest[:at])) if part.executed]
    if len(rest) == 1 and not hubs and _apart(parts):
        return TilePlan(n, tuple(TileStack((part,)) for part in parts))
    if _apart(parts):
        return None
    parts = parts if parts or any(hub.columns for hub in hubs) else [_nothing(n)]
    full: tuple[TileStack, ...] = ()
    for hub in hubs:
        parts = [without_columns(part, hub) for part in parts] if hub.columns else parts
        parts += [global_columns(hub, n)] if hub.columns else []
        full = (TileStack((global_rows(hub, n),)),) if hub.rows else ()
    return TilePlan(n, (TileStack(tuple(parts)), *full))


def _nothing(n: int) -> TilePart:
    """A row for each query that reads no key."""
    return masked(TilePart(n, NATURAL, NATURAL, 1, 1, table=np.full((1, n, 1), -1)))


def _apart(parts: list[TilePart]) -> bool:
    """Whether each part has query rows of its own, so that there is nothing to merge."""
    return any((part.tiles is not None and not part.joins) or part.q_view.tokens is not None for part in parts)


def _separable(terms: list[Expr]) -> bool:
    """Whether the overlap of these primitives is known from lags, or from a common block, alone."""
    lags = [t for t in terms if isinstance(t, LAGS)]
    others = [t for t in terms if not isinstance(t, LAGS)]
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
