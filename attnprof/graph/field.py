"""The receptive field of one query as an exact set, layer by layer."""

from __future__ import annotations

import numpy as np

from attnprof.graph.layered import LayeredRelation
from attnprof.graph.relation import Relation
from attnprof.pattern.slices import Bools


def field_of(stack: LayeredRelation, query: int, layers: int) -> Bools:
    """The tokens that output `query` depends on after `layers` layers, `[n]`: from the top layer down."""
    seen = np.zeros(stack.n, dtype=np.bool_)
    seen[query] = True
    for layer in range(layers, 0, -1):
        seen = wider(stack.part(layer), seen)
    return seen


def wider(part: Relation, seen: Bools) -> Bools:
    """The tokens that some token of a set reads in one layer, and the set itself."""
    return seen | (part.push(seen.astype(np.int64)) > 0)
