"""Global tokens in a plan: their columns as a tile that all queries read, their rows as a softmax of their own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from attnprof.layers.lowering.masks import cut
from attnprof.layers.lowering.tiling import NATURAL, TilePart, View
from attnprof.pattern import (
    Band,
    Blocks,
    BlockTable,
    Dense,
    Expr,
    FramedBlocks,
    Global,
    Halo,
    Offsets,
    Past,
    Segments,
    Strided,
    Summary,
)


def has_tokens(hub: Global, n: int) -> bool:
    """Whether some token is global, as a row or as a column."""
    return (hub.rows or hub.columns) and max(hub.first, 0) < min(hub.last, n)


def contains(hub: Global, rest: list[Expr]) -> bool:
    """Whether a hub's rows and columns have all that the other terms have in them: not if it alone is causal."""
    return not hub.causal or all(of_the_past(term) for term in rest)


def of_the_past(term: Expr) -> bool:
    """Whether a term is sure to read nothing of the future."""
    if isinstance(term, Band):
        return term.after <= 0
    if isinstance(term, Offsets):
        return all(lag >= 0 for lag in term.lags)
    causal = (Dense, Blocks, BlockTable, Global, Halo, Segments, Strided, Summary)
    return isinstance(term, (FramedBlocks, Past)) or (isinstance(term, causal) and term.causal)


def global_rows(hub: Global, n: int) -> TilePart:
    """The global rows, which read everything, as one tile of their own."""
    tokens = np.arange(max(hub.first, 0), min(hub.last, n))
    part = TilePart(n, View("select", tokens=tokens), NATURAL, len(tokens), n)
    return cut(part, lambda: np.arange(n) <= tokens[:, None], reads=True) if hub.causal else part


def global_columns(hub: Global, n: int) -> TilePart:
    """The global columns, which everything reads, as one tile of all queries."""
    tokens = np.arange(max(hub.first, 0), min(hub.last, n))
    part = TilePart(n, NATURAL, View("select", tokens=tokens), n, len(tokens))
    return cut(part, lambda: tokens <= np.arange(n)[:, None], reads=hub.first <= 0) if hub.causal else part


def without_columns(part: TilePart, hub: Global) -> TilePart:
    """The part without the keys that a hub's columns have."""
    ok = part.allowed(lambda keys: (keys < hub.first) | (keys >= hub.last))
    return replace(part, key_ok=ok if part.key_ok is None else ok & part.key_ok, reads=False)
