"""Sampled reach: all queries over a sample of tokens, spread evenly over the pairs, each over one stratum.

The first layer is counted, not sampled: its pairs are its edges, and the diagonal where the mask lacks it. So a few
keys that carry most of the edges are never missed; what later layers add to it is estimated.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attnprof.graph.confidence import mean_intervals
from attnprof.graph.engines import by_slices as range_or
from attnprof.graph.engines.bits import search, to_reach
from attnprof.graph.layered import LayeredRelation
from attnprof.graph.reach import LayerReach, Reach, ReachRequest
from attnprof.graph.structure import self_reading
from attnprof.pattern.slices import Ints
from attnprof.words import Certainty

GROUPS = 16
WIDE = 64


@dataclass(frozen=True, eq=False)
class SampledReach:
    """What a sample of tokens has shown: pairs new at each layer, `[tokens, layers]`, of the `room [tokens]` allowed.

    `out`, `into`: the largest hop of each query and token that was seen, -1 for tokens that were not.
    """

    room: Ints
    fresh: Ints
    out: Ints
    into: Ints
    closed: bool


def run(stack: LayeredRelation, ask: ReachRequest) -> Reach:
    """An estimate: shares with 95% intervals, over tokens (never over pairs); every largest hop is a lower bound.

    Up to 1024 tokens the sample is all of them, and the answer exact.
    """
    if stack.n <= WIDE * GROUPS:
        exact = to_reach(stack, ask, search(stack, ask, range_or.plan))
        return dataclasses.replace(exact, note="every token was looked at", sources=stack.n)
    rng = np.random.default_rng(ask.seed)
    room = _room(stack)
    targets = spread_over(room, WIDE * GROUPS, rng)
    return _estimate(stack, _looked_at(stack, ask, room, targets), first_layer(stack), targets, rng)


def _room(stack: LayeredRelation) -> Ints:
    """Other queries that may ever depend on each token, `[n]`."""
    return stack.n - 1 - np.arange(stack.n) if stack.causal else np.full(stack.n, stack.n - 1)


def spread_over(weight: Ints, count: int, rng: np.random.Generator) -> Ints:
    """A sample of `count` positions, each as likely as its weight: one from each of as many strata of equal weight."""
    ends = np.cumsum(weight)
    at = (np.arange(count) + rng.random(count)) / count * int(ends[-1])
    return np.searchsorted(ends, at, side="right")


def first_layer(stack: LayeredRelation) -> Ints | None:
    """Other queries that read each token in the first layer, `[n]`; None where tokens meet in slots."""
    edges = stack.tokens[0]
    return None if stack.parts[0].ways is not None else edges.in_degree() - self_reading(edges)


def _looked_at(stack: LayeredRelation, ask: ReachRequest, room: Ints, targets: Ints) -> SampledReach:
    out, into = np.zeros(stack.n, dtype=np.int64), np.full(stack.n, -1, dtype=np.int64)
    found, order, closed = [], [], True
    for at in range(GROUPS):
        group = targets[at::GROUPS]
        seen = search(stack, ask, range_or.plan, group, by_target=True)
        into[group] = seen.into[group]
        closed &= not seen.cut
        order.append(group)
        found.append([readers[group] for readers in seen.readers])
        for layer, fresh in enumerate(seen.fresh, start=1):
            out[fresh > 0] = np.maximum(out[fresh > 0], layer)
    depth = max(1, *map(len, found))
    table = np.zeros((len(targets), depth), dtype=np.int64)
    for at, columns in enumerate(found):
        for layer, column in enumerate(columns):
            table[at * WIDE : (at + 1) * WIDE, layer] = column
    return SampledReach(room[np.concatenate(order)], table, out, into, closed)


def _estimate(
    stack: LayeredRelation, sample: SampledReach, known: Ints | None, targets: Ints, rng: np.random.Generator
) -> Reach:
    n, pairs = stack.n, stack.pairs
    counted = n + (0 if known is None else int(known.sum()))
    later = sample.fresh.copy()
    if known is not None:
        later[:, 0] = 0
    shares = later.cumsum(axis=1) / sample.room[:, None]
    bounds = _limits(shares, rng)
    if known is not None:
        for limit in bounds:
            limit[0] = 0.0
    middle, low, high = (np.minimum((counted + (pairs - n) * each) / pairs, 1.0) for each in (shares.mean(0), *bounds))
    layers = tuple(
        LayerReach(at + 1, None, float(share * pairs / n), None, float(share), (), float(least), float(most))
        for at, (share, least, most) in enumerate(zip(middle, low, high, strict=True))
    )
    new = np.diff(np.concatenate([[n / pairs], middle])) * pairs
    return Reach(
        n=n,
        causal=stack.causal,
        pairs=pairs,
        layers=layers,
        histogram=np.concatenate([[n], np.rint(new)]).astype(np.int64),
        farthest_out=sample.out,
        farthest_in=sample.into,
        closed=sample.closed,
        certainty=Certainty.SAMPLED,
        sources=len(np.unique(targets)),
        note="estimated from a sample of tokens; the largest hop is a lower bound",
    )


def _limits(shares: NDArray[np.float64], rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Limits of the mean share after each layer, neither of which ever falls with more layers."""
    low, high = mean_intervals(shares, rng)
    return np.maximum.accumulate(low), np.maximum.accumulate(high)
