"""Block quotients: a mask that is constant on blocks is the blow-up of a small graph, and walks of blocks lift.

Exact where every layer is block-constant with blocks that read themselves: a query reaches its blocks' tokens, all of
them. Under causality the diagonal blocks are lower triangular and cut only the query's own block.
"""

from __future__ import annotations

import math

import numpy as np

from attnprof.graph.engines import by_slices as range_or
from attnprof.graph.engines.bits import Found, search
from attnprof.graph.layered import LEAST_BLOCK, LayeredRelation
from attnprof.graph.pixels import Counts, Grid
from attnprof.graph.reach import Reach, ReachRequest, ReachTally, kept
from attnprof.graph.relation import Relation
from attnprof.graph.structure import blocks_of, self_reading
from attnprof.graph.token_edges import TokenEdges

FINEST = 4096


def run(stack: LayeredRelation, ask: ReachRequest) -> Reach | None:
    """The answer for block-constant stacks; None for any other."""
    found = stack.parts if stack.blocked else _recognised(stack)
    if found is None or any(part.cut != stack.causal for part in found):
        return None
    size = math.gcd(*(part.size for part in found))
    grid = ask.grid(stack.n)
    if grid is not None and stack.n // math.gcd(size, grid.size) <= FINEST:
        size = math.gcd(size, grid.size)
    kinds = tuple(part.refined(size) for part in found)
    if size < LEAST_BLOCK or not all(bool(self_reading(kind).all()) for kind in kinds):
        return None
    small = LayeredRelation(stack.n // size, tuple(map(TokenEdges, kinds)), stack.causal)
    result = search(small, ReachRequest(ask.layers, ask.side, ask.threads), range_or.plan)
    return _lifted(stack, small, size, result, ask)


def _recognised(stack: LayeredRelation) -> tuple[Relation, ...] | None:
    """The blocks of a stack that was given token by token."""
    if stack.plain is None:
        return None
    parts = [blocks_of(kind, LEAST_BLOCK) for kind in stack.plain]
    found = tuple(part for part in parts if part is not None)
    return found if len(found) == len(parts) else None


def _lifted(stack: LayeredRelation, small: LayeredRelation, size: int, found: Found, ask: ReachRequest) -> Reach:
    """Token counts from block counts: all tokens of a reached block, less those after the query in its own."""
    n, count = stack.n, small.n
    blocks_grid = ask.grid(count)
    grid = Grid(n, blocks_grid.size * size) if blocks_grid else None
    tally = ReachTally(stack, grid)
    later = np.arange(size)[::-1] if stack.causal else np.zeros(size, dtype=np.int64)
    blocks, out = np.ones(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
    image = np.diag(blocks_grid.widths) if blocks_grid else np.zeros((0, 0), dtype=np.int64)
    counts = np.ones(n, dtype=np.int64)
    for layer, fresh in enumerate(found.fresh or [np.zeros(count, dtype=np.int64)], start=1):
        blocks = blocks + fresh
        out[fresh > 0] = layer
        counts = (blocks[:, None] * size - later).ravel()
        image = image + found.images[layer - 1] if layer <= len(found.images) else image
        tally.add(layer, counts, _tokens(image, blocks_grid, size, stack.causal) if kept(layer) else None)
    own = np.arange(size) > 0 if stack.causal else np.full(size, size > 1)
    farthest_out = np.maximum(out[:, None], own).ravel()
    farthest_in = np.maximum(found.into[:, None], own[::-1]).ravel()
    return tally.result(farthest_out, farthest_in, not found.cut, counts)


def _tokens(image: Counts, grid: Grid | None, size: int, causal: bool) -> Counts | None:
    """Pairs of tokens in each pixel from pairs of blocks."""
    if grid is None:
        return None
    tokens = image * size * size
    return tokens - np.diag(grid.widths * (size * (size - 1) // 2)) if causal else tokens
