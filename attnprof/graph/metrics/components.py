"""Into how many pieces a pattern falls, and whether some token is within everybody's reach."""

from __future__ import annotations

import numpy as np

from attnprof.graph.engines import by_slices as range_or
from attnprof.graph.engines.bits import search
from attnprof.graph.layered import LayeredRelation
from attnprof.graph.reach import ReachRequest
from attnprof.graph.relation import SlotWays
from attnprof.graph.subject import Facts, Subject
from attnprof.pattern import Slices
from attnprof.pattern.slices import Ints
from attnprof.words import Certainty

Pairs = tuple[Ints, Ints]
MOST_EDGES = 20_000_000


def components(subject: Subject) -> Facts:
    """Weak components over all layers together, strong ones, and whether a token is reached by all (a quasi-root)."""
    weak = weak_components(subject)
    strong, reason = _strong(subject, weak)
    root, why = _quasi_root(subject, weak)
    reasons = {k: v for k, v in (("strong_components", reason), ("quasi_root", why)) if v}
    return Facts({"components": weak, "strong_components": strong, "quasi_root": root}, reasons=reasons)


def weak_components(subject: Subject) -> int:
    """Components when directions are forgotten: O(slices), since a slice links its keys in a chain."""
    stack, reach = subject.stack, subject.reach
    if reach.full or reach.layers[-1].max == subject.n:  # some query reaches every token
        return 1
    if stack.blocked:
        return _of_blocks(stack)
    links: list[Pairs] = []
    nodes, lonely = subject.n, 0
    for part, edges in zip(stack.parts, stack.tokens, strict=True):
        links += links_of(edges)
        if part.ways is not None:
            links += _slot_links(part.ways, nodes)
            nodes += part.ways.count
            lonely += _lonely(part.ways)
    return _count(links, nodes) - lonely


def _slot_links(ways: SlotWays, first: int) -> list[Pairs]:
    """Links over slots, the first of which is the node `first`."""
    reads = [(row + first, key) if at == 0 else (row, key) for at, (row, key) in enumerate(links_of(ways.reads))]
    writes = [
        (row, key + first) if at == 0 else (row + first, key + first)
        for at, (row, key) in enumerate(links_of(ways.writes))
    ]
    return [*reads, *writes]


def _lonely(ways: SlotWays) -> int:
    """Slots that neither read nor are read: nodes, but no part of the token graph."""
    return int(((ways.reads.out_degree() == 0) & (ways.writes.in_degree() == 0)).sum())


def links_of(slices: Slices) -> list[Pairs]:
    """Pairs that connect what the edges connect: each row with the first key of its slices, then keys in chains."""
    links = [(slices.row, slices.start)]
    for step in np.unique(slices.step).tolist():
        mine = slices.take(slices.step == step)
        length = -(-(slices.m + step) // step) * step
        last = mine.start + (mine.counts - 1) * step
        diff = np.bincount(mine.start, minlength=length) - np.bincount(last, minlength=length)
        keys = np.flatnonzero(diff.reshape(-1, step).cumsum(axis=0).ravel() > 0)
        links.append((keys, keys + step))
    return links


def _count(links: list[Pairs], nodes: int) -> int:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    row, key = (np.concatenate(column) for column in zip(*links, strict=True))
    graph = coo_array((np.ones(len(row), dtype=np.int8), (row, key)), shape=(nodes, nodes)).tocsr()
    return int(connected_components(graph, directed=False, return_labels=False))


def _of_blocks(stack: LayeredRelation) -> int:
    """Components of blocks; a block without any edge is as many components as it has tokens."""
    size = int(np.gcd.reduce([part.size for part in stack.parts]))
    blocks = [part.refined(size) for part in stack.parts]
    whole = _count([link for each in blocks for link in links_of(each)], blocks[0].n)
    used = sum(each.out_degree() + each.in_degree() for each in blocks)
    return whole + int((np.asarray(used) == 0).sum()) * (size - 1)


def _strong(subject: Subject, weak: int) -> tuple[int | None, str]:
    stack, reach = subject.stack, subject.reach
    if stack.period > 1:
        return None, "layers differ: no single graph"
    if stack.causal:
        return subject.n, ""
    if reach.full:
        return 1, ""
    if stack.blocked:
        return _strong_of(stack.parts[0].quotient), ""
    if stack.plain is None or stack.plain[0].edges > MOST_EDGES:
        return None, "not counted: slots, or more edges than a CSR of them should hold"
    return _strong_of(stack.plain[0]), ""


def _strong_of(slices: Slices) -> int:
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    indptr, indices = slices.csr()
    graph = csr_array((np.ones(len(indices), dtype=np.int8), indices, indptr), shape=(slices.n, slices.n))
    return int(connected_components(graph, directed=True, connection="strong", return_labels=False))


def _quasi_root(subject: Subject, weak: int) -> tuple[bool | None, str]:
    """Whether all queries reach some one token: the first of a causal mask, any of a full one."""
    if subject.reach.full:
        return True, ""
    if weak > 1:
        return False, ""
    stack, n = subject.stack, subject.n
    if not subject.reach.closed:
        return None, "unknown: the search ended before nothing new was reached"
    targets = np.zeros(1, dtype=np.int64) if stack.causal else np.unique(np.linspace(0, n - 1, 64).astype(np.int64))
    layers = None if subject.reach.certainty == Certainty.SAMPLED else max(len(subject.reach.histogram) - 1, 1)
    for target in targets.tolist():
        found = search(stack, ReachRequest(layers=layers), range_or.plan, np.asarray([target]))
        if sum(int(fresh.sum()) for fresh in found.fresh) == n - 1:
            return True, ""
    return (False, "") if stack.causal else (None, "unknown: none of 64 tokens tried is reached by all")
