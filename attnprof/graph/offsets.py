"""Which distances are reached after some layers: all pairs at one, some, or none; and neighbours that never meet.

Where only the mean of a reach is told, blocks and gaps are hidden: of two neighbours on either side of a border of
blocks neither may see the other at any depth.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from attnprof.graph.engines.bits import PushPlan, Words, layer_plan
from attnprof.graph.engines.by_slices import plan
from attnprof.graph.layered import LayeredRelation
from attnprof.pattern.slices import Ints

LARGEST = 8192  # tokens of which all pairs are looked at: n² additions a depth, about a second
LOOKED_AT = 32  # chunks of 64 targets beyond
CHUNK = 64
NAMED = 3


@dataclass(frozen=True, slots=True)
class OffsetReach:
    """What is reached after so many layers, by the distance |i - j| of a query i and a token j.

    `every_to`: up to it all pairs are reached, of all distances; `some_to`: the farthest at which any is. `partly` and
    `unreached` count the distances up to `some_to` at which some pairs are, and none. `shares`: mean shares of
    distances from a power of two up to the next. `borders`: neighbours (i, i - 1) that do not meet, the first of them
    named; None where not all were looked at.
    """

    layer: int
    every_to: int
    some_to: int
    partly: int
    unreached: int
    shares: tuple[tuple[int, int, float], ...]
    borders: int | None
    named: tuple[tuple[int, int], ...] = ()


def plans_of(stack: LayeredRelation) -> list[PushPlan]:
    """What ORs into every row the rows that it reads, for each layer kind."""
    return [layer_plan(edges, part.ways, plan) for edges, part in zip(stack.tokens, stack.parts, strict=True)]


def chunks_of(n: int) -> tuple[list[int], bool]:
    """The first tokens of the chunks of targets that are looked at, and whether they are all there are."""
    whole = list(range(0, n, CHUNK))
    if n <= LARGEST:
        return whole, True
    return [whole[at] for at in np.unique(np.linspace(0, len(whole) - 1, LOOKED_AT).astype(int))], False


def states(plans: Sequence[PushPlan], n: int, first: int, depth: int) -> Iterator[Words]:
    """Which queries depend on the targets `first`, ..., a bit each, after 1, 2, ..., `depth` layers, `[n, 1]`."""
    state = np.zeros((n, 1), dtype=np.uint64)
    bit = np.arange(min(CHUNK, n - first))
    state[first + bit, 0] = np.uint64(1) << bit.astype(np.uint64)
    for layer in range(depth):
        grown = state.copy()
        plans[layer % len(plans)](state, grown)
        state = grown
        yield state


def offsets(stack: LayeredRelation, depths: Sequence[int]) -> tuple[tuple[OffsetReach, ...], bool]:
    """What is reached by distance after each of these numbers of layers; and whether all tokens were looked at."""
    n, plans = stack.n, plans_of(stack)
    chunks, whole = chunks_of(n)
    reached = np.zeros((len(depths), n), dtype=np.int64)
    pairs = np.zeros(n, dtype=np.int64)
    apart: list[list[int]] = [[] for _ in depths]
    for first in chunks:
        pairs += _pairs(stack, first)
        for layer, state in enumerate(states(plans, n, first, max(depths)), start=1):
            if layer in depths:
                at = depths.index(layer)
                reached[at] += _by_distance(state, first)
                apart[at] += _strangers(state, first)
    found = [_told(layer, reached[at], pairs, apart[at], whole) for at, layer in enumerate(depths)]
    return tuple(found), whole


def _pairs(stack: LayeredRelation, first: int) -> Ints:
    """Allowed pairs of the targets of a chunk with any query, by distance."""
    n, found = stack.n, np.zeros(stack.n + 1, dtype=np.int64)
    targets = np.arange(first, min(first + CHUNK, n))
    np.subtract.at(found, n - targets, 1)
    found[0] += len(targets)
    if not stack.causal:  # those before it: distances 1 to j
        found[1] += len(targets)
        np.subtract.at(found, targets + 1, 1)
    return np.cumsum(found)[:n]


def _by_distance(state: Words, first: int) -> Ints:
    n, found = len(state), np.zeros(len(state), dtype=np.int64)
    bits = np.unpackbits(state.astype("<u8").view(np.uint8).reshape(n, 8), axis=1, bitorder="little").T.copy()
    for target, row in enumerate(bits[: min(CHUNK, n - first)], start=first):
        found[: n - target] += row[target:]
        found[1 : target + 1] += row[:target][::-1]
    return found


def _strangers(state: Words, first: int) -> list[int]:
    """The targets j of a chunk that query j + 1 does not depend on."""
    n = len(state)
    target = np.arange(first, min(first + CHUNK, n - 1))
    met = (state[target + 1, 0] >> (target - first).astype(np.uint64)) & np.uint64(1)
    return [int(each) for each in target[met == 0]]


def _told(layer: int, reached: Ints, pairs: Ints, apart: list[int], whole: bool) -> OffsetReach:
    there = pairs > 0
    every = (reached == pairs) | ~there
    some = (reached > 0) & there
    first_gap = int(np.argmin(every)) if not every.all() else len(every)
    some_to = int(np.flatnonzero(some)[-1])
    within = there[: some_to + 1]
    partly = int((some & ~every)[: some_to + 1].sum())
    shares = []
    low = 1
    while low < len(pairs):
        high = min(2 * low, len(pairs))
        total = int(pairs[low:high].sum())
        if total:
            shares.append((low, high - 1, int(reached[low:high].sum()) / total))
        low = high
    return OffsetReach(
        layer,
        first_gap - 1,
        some_to,
        partly,
        int((~some[: some_to + 1] & within).sum()),
        tuple(shares),
        len(apart) if whole else None,
        tuple((at + 1, at) for at in apart[:NAMED]),
    )
