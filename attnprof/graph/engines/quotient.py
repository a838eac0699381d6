"""Block quotients: a mask that is constant on blocks is the blow-up of a small graph, and walks of blocks lift.

Exact where every layer is block-constant with blocks that read themselves: a query reaches its blocks' tokens, all of
them. Under causality the diagonal blocks are lower triangular and cut only the query's own block.
"""

from __future__ import annotations

import math

import numpy as np

from attnprof.graph.engines import slices as range_or
from attnprof.graph.engines.bits import Found, search
from attnprof.graph.pixels import Counts, Grid
from attnprof.graph.reach import Ask, Reach, Tally, kept
from attnprof.graph.stack import Stack
from attnprof.graph.structure import Quotient, quotient_of, self_reading
from attnprof.pattern import Slices

LEAST_BLOCK = 4


def run(stack: Stack, ask: Ask) -> Reach | None:
    """The answer for block-constant stacks; None for any other."""
    if stack.plain is None:
        return None
    found = [quotient_of(kind, LEAST_BLOCK) for kind in stack.plain]
    quotients = [quotient for quotient in found if quotient is not None]
    if len(quotients) < len(found) or any(q.causal != stack.causal for q in quotients):
        return None
    size = math.gcd(*(q.size for q in quotients))
    kinds = tuple(_refined(q, size) for q in quotients)
    if size < LEAST_BLOCK or not all(bool(self_reading(kind).all()) for kind in kinds):
        return None
    small = Stack(stack.n // size, kinds, stack.causal)
    blocks = Ask(ask.layers, ask.side, ask.threads)
    result = search(small, blocks, range_or.plan)
    return _lifted(stack, small, size, result, ask)


def _refined(quotient: Quotient, size: int) -> Slices:
    """The quotient on smaller blocks."""
    by = quotient.size // size
    if by == 1:
        return quotient.blocks
    blocks = quotient.blocks
    row = (blocks.row[:, None] * by + np.arange(by)).ravel()
    start, stop = np.repeat(blocks.start * by, by), np.repeat(blocks.stop * by, by)
    return Slices.of(blocks.n * by, row, start, np.minimum(stop, row + 1) if quotient.causal else stop)


def _lifted(stack: Stack, small: Stack, size: int, found: Found, ask: Ask) -> Reach:
    """Token counts from block counts: all tokens of a reached block, less those after the query in its own."""
    n, count = stack.n, small.n
    blocks_grid = ask.grid(count)
    grid = Grid(n, blocks_grid.size * size) if blocks_grid else None
    tally = Tally(stack, grid)
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
