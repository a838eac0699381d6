"""Bottlenecks: how many vertex-disjoint paths lead from one span of tokens to another through the layers."""

from __future__ import annotations

import numpy as np

from attnprof.graph.layered import LayeredRelation
from attnprof.graph.subject import Facts, Subject
from attnprof.pattern import Slices

Span = tuple[int, int]
MOST_TOKENS = 256
MOST_BLOCKS = 512
DEPTH = 6


def disjoint_paths(subject: Subject) -> Facts:
    """Vertex-disjoint paths from a span in the middle to the last span, within 1, 2, ... layers."""
    stack, n = subject.stack, subject.n
    size = max(1, n // 16)
    source, sink = (n // 2, n // 2 + size), (n - size, n)
    depth = min(subject.ask.layers or DEPTH, DEPTH)
    reason = _cannot(stack)
    if reason:
        return Facts({"bandwidth": None}, reasons={"bandwidth": reason})
    routes = [vertex_disjoint_paths(stack, source, sink, layers) for layers in range(1, depth + 1)]
    values = {"from": list(source), "to": list(sink), "most": size, "routes": routes}
    return Facts({"bandwidth": values})


def _cannot(stack: LayeredRelation) -> str:
    if stack.slotted:
        return "tokens meet in slots: no more paths than slots"
    if stack.blocked and stack.n // min(part.size for part in stack.parts) <= MOST_BLOCKS:
        return "" if not stack.causal else _too_long(stack)
    return _too_long(stack)


def _too_long(stack: LayeredRelation) -> str:
    most = f"counted up to {MOST_TOKENS} tokens, or {MOST_BLOCKS} blocks of a block-constant mask without causality"
    return "" if stack.n <= MOST_TOKENS else most


def vertex_disjoint_paths(stack: LayeredRelation, source: Span, sink: Span, layers: int) -> int:
    """The most paths from tokens of `source` to tokens of `sink` that share no token in any layer: a maximum flow.

    Block-constant masks flow through their blocks, each as wide as it has tokens.
    """
    size = 1
    if stack.blocked and not stack.causal and stack.n > MOST_TOKENS:
        size = int(np.gcd.reduce([part.size for part in stack.parts] + list(source) + list(sink)))
    relations = [part.refined(size) for part in stack.parts]
    return _flow(relations, stack.n // size, size, [at // size for at in (*source, *sink)], layers)


def _flow(relations: list[Slices], n: int, width: int, spans: list[int], layers: int) -> int:
    """Nodes (layer, token) split into an entry and an exit of capacity `width`; edges go up one layer."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import maximum_flow

    first, last, low, high = spans
    node = np.arange(n)
    tails, heads, room = [], [], []

    def join(tail: np.ndarray, head: np.ndarray, capacity: int) -> None:
        tails.append(tail)
        heads.append(head)
        room.append(np.full(len(tail), capacity))

    for layer in range(layers + 1):
        entry = 2 * n * layer
        join(entry + node, entry + n + node, width)
        if layer == layers:
            break
        indptr, key = relations[layer % len(relations)].csr()
        row = np.repeat(node, np.diff(indptr))
        other = row != key
        join(entry + n + key[other], entry + 2 * n + row[other], width)
        join(entry + n + node, entry + 2 * n + node, width)
    source, sink = 2 * n * (layers + 1), 2 * n * (layers + 1) + 1
    join(np.full(last - first, source), np.arange(first, last), width)
    join(2 * n * layers + n + np.arange(low, high), np.full(high - low, sink), width)
    columns = (np.concatenate(room).astype(np.int32), (np.concatenate(tails), np.concatenate(heads)))
    graph = coo_array(columns, shape=(sink + 1, sink + 1)).tocsr()
    return int(maximum_flow(graph, source, sink).flow_value)
