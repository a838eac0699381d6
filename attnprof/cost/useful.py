"""The work that the pattern asks for, edge by edge: what a scheme would execute if it wasted nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attnprof.model import Shape
from attnprof.pattern import Pattern
from attnprof.scheme import Target
from attnprof.words import Pass

BACKWARD = 2


def useful_flops(target: Target, shape: Shape, pass_: Pass) -> tuple[int | None, str]:
    """`batch * sum over layers and heads of 2 (d_k + d_v) edges`, three times that for `train`; or why there is none.

    An edge counts once for each softmax that reads it. `decode` counts the edges of the query
    that comes after n tokens.
    """
    pattern = target.pattern(shape)
    if pattern is None:
        return None, "the scheme has no edges between tokens"
    if pattern.bound:
        return None, pattern.bound
    if shape.keys != shape.n:
        edges = shape.heads * target.layers * rectangle(shape, pass_)
    else:
        edges = next_row(target, pattern, shape) if pass_ == Pass.DECODE else all_edges(target, pattern, shape)
    flops = shape.batch * 4 * shape.head_dim * edges * shape.depth
    return flops * (1 + BACKWARD) if pass_ == Pass.TRAIN else flops, ""


def rectangle(shape: Shape, pass_: Pass) -> int:
    """Edges of a head where keys and queries differ in number: all pairs, or, if causal, those of the last queries."""
    if pass_ == Pass.DECODE:
        return shape.keys
    if not shape.causal:
        return shape.n * shape.keys
    return sum(min(max(i + 1 + shape.keys - shape.n, 0), shape.keys) for i in range(shape.n))


def all_edges(target: Target, pattern: Pattern, shape: Shape) -> int:
    """Edges over all layer kinds and heads, remembered for the next pass of the same target at the same shape."""
    at = (id(target), shape)
    if _last.get("at") != at:
        _last.update(edges=_counted_edges(target, pattern, shape), at=at, target=target)
    return _last["edges"]


_last: dict[str, Any] = {}


def _counted_edges(target: Target, pattern: Pattern, shape: Shape) -> int:
    """By the closed count of the target where it states one for its only softmax, else from the slices."""
    closed = getattr(target, "edges", None)

    def edges(layer: int, head: int) -> int:
        stated = closed(shape, layer, head) if closed and len(pattern.expr(layer, head).terms()) == 1 else None
        return pattern.edges_sum(layer, head) if stated is None else stated

    return _over_heads(pattern, shape, edges)


def next_row(target: Target, pattern: Pattern, shape: Shape) -> int:
    """Edges of the query after n tokens, its own key included; of the last of n where a target cannot say."""
    graph = getattr(target, "graph", None)
    pattern = graph(shape, later=1) if graph else pattern

    def degree(layer: int, head: int) -> int:
        terms = pattern.expr(layer, head).terms()
        return sum(term.reader(pattern.n)(pattern.n - 1, pattern.n).edges for term in terms)

    return _over_heads(pattern, shape, degree)


def _over_heads(pattern: Pattern, shape: Shape, edges: Callable[[int, int], int]) -> int:
    kinds = min(pattern.heads, shape.heads)
    total = 0
    for layer in range(pattern.layers):
        for kind in range(kinds):
            total += edges(layer, kind) * len(range(kind, shape.heads, kinds))
    return total
