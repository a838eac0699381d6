"""Sampled reach: all queries over a sample of tokens spread evenly over the sequence, each over one stratum."""

from __future__ import annotations

import numpy as np

from attnprof.graph.engines import slices as range_or
from attnprof.graph.engines.bits import search
from attnprof.graph.reach import Ask, LayerReach, Reach
from attnprof.graph.stack import Stack
from attnprof.pattern.slices import Ints

GROUPS = 16
RESAMPLES = 400


def run(stack: Stack, ask: Ask) -> Reach:
    """An estimate: shares and hops with 95% intervals, bootstrapped over groups of 64 tokens (never over pairs).

    Every largest hop is a lower bound: a sample cannot show a maximum.
    """
    rng = np.random.default_rng(ask.seed)
    n = stack.n
    groups = max(1, min(GROUPS, n // 64))
    count = min(64 * groups, n)
    bounds = np.linspace(0, n, count + 1).astype(np.int64)
    targets = bounds[:-1] + (rng.random(count) * np.diff(bounds)).astype(np.int64)
    out, into = np.zeros(n, dtype=np.int64), np.full(n, -1, dtype=np.int64)
    hits, closed = [], True
    for group in _groups(targets, groups):
        found = search(stack, ask, range_or.plan, group)
        hits.append([int(fresh.sum()) for fresh in found.fresh])
        into[group] = found.into[group]
        closed &= not found.cut
        for layer, fresh in enumerate(found.fresh, start=1):
            out[fresh > 0] = np.maximum(out[fresh > 0], layer)
    allowed = [
        int((n - group - 1).sum() if stack.causal else (n - 1) * len(group)) for group in _groups(targets, groups)
    ]
    return _estimate(stack, _table(hits), np.asarray(allowed), out, into, closed, rng)


def _groups(targets: Ints, groups: int) -> list[Ints]:
    return [targets[at::groups] for at in range(groups)]


def _table(hits: list[list[int]]) -> Ints:
    """New pairs by group and layer, `[groups, layers]`."""
    table = np.zeros((len(hits), max(map(len, hits))), dtype=np.int64)
    for row, found in zip(table, hits, strict=True):
        row[: len(found)] = found
    return table


def _estimate(
    stack: Stack, table: Ints, allowed: Ints, out: Ints, into: Ints, closed: bool, rng: np.random.Generator
) -> Reach:
    n, pairs, groups = stack.n, stack.pairs, len(table)
    others = pairs - n
    picks = rng.integers(0, groups, (RESAMPLES, groups))
    drawn = table[picks].sum(axis=1).cumsum(axis=1) / allowed[picks].sum(axis=1, keepdims=True)
    low, high = np.quantile(drawn, (0.025, 0.975), axis=0)
    middle = table.sum(axis=0).cumsum() / allowed.sum()
    whole = [(n + others * values) / pairs for values in (middle, low, high)]
    layers = tuple(
        LayerReach(at + 1, None, float(share * pairs / n), None, float(share), (), float(least), float(most))
        for at, (share, least, most) in enumerate(zip(*whole, strict=True))
    )
    histogram = np.concatenate([[n], np.rint(table.sum(axis=0) / allowed.sum() * others)]).astype(np.int64)
    return Reach(
        n=n,
        causal=stack.causal,
        pairs=pairs,
        layers=layers,
        histogram=histogram,
        farthest_out=out,
        farthest_in=into,
        closed=closed,
        certainty="sampled",
        sources=int((into >= 0).sum()),
        note="estimated from a sample of tokens; the largest hop is a lower bound",
    )
