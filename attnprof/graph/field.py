"""The receptive field of one query as an exact set, layer by layer."""

from __future__ import annotations

import numpy as np

from attnprof.graph.blocked import BlockConstant
from attnprof.graph.layered import LayeredRelation, LayerRelation, Slotted
from attnprof.graph.products import push
from attnprof.pattern.slices import Bools


def field_of(stack: LayeredRelation, query: int, layers: int) -> Bools:
    """The tokens that output `query` depends on after `layers` layers, `[n]`: from the top layer down."""
    seen = np.zeros(stack.n, dtype=np.bool_)
    seen[query] = True
    for layer in range(layers, 0, -1):
        seen = wider(stack.part(layer), seen)
    return seen


def wider(part: LayerRelation, seen: Bools) -> Bools:
    """The tokens that some token of a set reads in one layer, and the set itself."""
    if isinstance(part, BlockConstant) and not part.causal:
        blocks = np.asarray(seen.reshape(-1, part.size).any(axis=1), dtype=np.int64)
        return seen | np.repeat(push(part.blocks, blocks) > 0, part.size)
    if isinstance(part, BlockConstant):
        return wider(part.tokens(), seen)
    given = seen.astype(np.int64)
    if isinstance(part, Slotted):
        slots = (push(part.writes, given) > 0).astype(np.int64)
        return seen | (push(part.reads, slots) > 0) | (push(part.direct, given) > 0)
    return seen | (push(part, given) > 0)
