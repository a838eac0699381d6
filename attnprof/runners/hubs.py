"""Global tokens in a plan: their columns as a tile that all queries read, their rows as a softmax of their own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from attnprof.pattern import Band, Blocks, BlockTable, Expr, FramedBlocks, Global, Halo, Offsets, Strided, Summary
from attnprof.runners.tiling import NATURAL, Part, View


def has_tokens(hub: Global, n: int) -> bool:
    """Whether some token is global, as a row or as a column."""
    return (hub.rows or hub.columns) and max(hub.first, 0) < min(hub.last, n)


def contains(hub: Global, rest: list[Expr]) -> bool:
    """Whether a hub's rows and columns have all that the other terms have in them: not if it alone is causal."""
    return not hub.causal or all(_causal(term) for term in rest)


def _causal(term: Expr) -> bool:
    """Whether a term is sure to read nothing of the future."""
    if isinstance(term, Band):
        return term.after <= 0
    if isinstance(term, Offsets):
        return all(lag >= 0 for lag in term.lags)
    causal = (Blocks, BlockTable, Halo, Strided, Summary)
    return isinstance(term, FramedBlocks) or (isinstance(term, causal) and term.causal)


def global_rows(hub: Global, n: int) -> Part:
    """The global rows, which read everything, as one tile of their own."""
    tokens = np.arange(max(hub.first, 0), min(hub.last, n))
    relative = np.arange(n) <= tokens[:, None] if hub.causal else None
    return Part(n, View("select", tokens=tokens), NATURAL, len(tokens), n, relative=relative)


def global_columns(hub: Global, n: int) -> Part:
    """The global columns, which everything reads, as one tile of all queries."""
    tokens = np.arange(max(hub.first, 0), min(hub.last, n))
    relative = tokens <= np.arange(n)[:, None] if hub.causal else None
    return Part(n, NATURAL, View("select", tokens=tokens), n, len(tokens), relative=relative)


def without_columns(part: Part, hub: Global) -> Part:
    keys = part.keys()
    ok = (keys >= 0) & ~((keys >= hub.first) & (keys < hub.last))
    if part.key_ok is not None:
        ok = ok & part.key_ok
    return replace(part, key_ok=ok)
