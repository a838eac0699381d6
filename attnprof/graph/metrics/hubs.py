"""Global tokens, and what is left of the reach without them.

A pattern declares its global tokens. Of a mask that is given edge by edge (captured, tabulated, probed) nobody says so:
its tokens with a full row or column are hubs.
"""

from __future__ import annotations

from dataclasses import replace
from weakref import WeakKeyDictionary

import numpy as np

from attnprof.graph.ladder import solve
from attnprof.graph.layered import LayeredRelation, distinct
from attnprof.graph.reach import Reach, ReachRequest
from attnprof.graph.relation import Relation
from attnprof.graph.slotted import direct_of, slots_of
from attnprof.graph.subject import Facts, Subject
from attnprof.graph.token_edges import remove
from attnprof.pattern import Drawn, Explicit, Expr, Globals, Past, Slots, Sum, Union
from attnprof.pattern.slices import Bools

MOST_HUBS = 4
NAMED = 8
DEPTH = 64
_known: WeakKeyDictionary[LayeredRelation, tuple[Bools, str]] = WeakKeyDictionary()  # three metrics ask


def hubs(subject: Subject) -> Facts:
    """Global tokens: how many, which, who says so (`declared`, or by `degree`), and the reach with them taken out."""
    found, by = global_tokens(subject.stack)
    count = int(found.sum())
    values: dict[str, object] = {"hubs": count, "hubs_at": np.flatnonzero(found)[:NAMED].tolist(), "hubs_by": by}
    if count in (0, subject.n):
        why = "every token is global" if count else "there are no global tokens"
        return Facts({**values, "without_globals": None}, reasons={"without_globals": why})
    rest = reach_without(subject.stack, found, subject.ask)
    values["without_globals"] = {
        "n": rest.n,
        "reach": [
            {"layer": e.layer, "min": e.min, "mean": e.mean, "max": e.max, "share": e.share} for e in rest.layers
        ],
        "layers_to_full": rest.layers_to_full,
        "closed": rest.closed,
        "mean_hops": rest.mean_hops,
        "engine": rest.engine,
    }
    return Facts(values, {"without_globals": rest.certainty})


def global_tokens(stack: LayeredRelation) -> tuple[Bools, str]:
    """The global tokens that some layer and head declares, `[n]`, and `declared`; those by `degree` of bare edges.

    Under causality only what all later tokens read is global: to read all of the past is nothing special there.
    """
    if stack not in _known:
        _known[stack] = _global_tokens(stack)
    return _known[stack]


def _global_tokens(stack: LayeredRelation) -> tuple[Bools, str]:
    exprs = [] if stack.pattern is None else _exprs(stack)
    if all(is_bare(expr) for expr in exprs):
        return hub_tokens(stack), "degree"
    found = Globals.none(stack.n)
    for expr in exprs:
        found = found.joined(expr.declares(stack.n))
    return (found.columns if stack.causal else found.rows | found.columns), "declared"


def _exprs(stack: LayeredRelation) -> list[Expr]:
    pattern = stack.pattern
    assert pattern is not None
    every = [pattern.expr(layer, head) for layer in range(pattern.layers) for head in range(pattern.heads)]
    return distinct(every)


def is_bare(expr: Expr) -> bool:
    """Whether an expression is edges alone, without the name of a shape."""
    if isinstance(expr, (Union, Sum)):
        return all(is_bare(part) for part in expr.parts)
    if isinstance(expr, Past):
        return is_bare(expr.inner)
    return isinstance(expr, (Explicit, Drawn))


def hub_tokens(stack: LayeredRelation) -> Bools:
    """Tokens with a full row or column in every layer, `[n]`; none where over a quarter have one (a dense mask)."""
    n = stack.n
    found = np.full(n, not stack.slotted)
    for part in stack.parts if found.any() else ():
        found &= _full(stack, part)
    return found if found.sum() <= n // MOST_HUBS else np.zeros(n, dtype=np.bool_)


def _full(stack: LayeredRelation, part: Relation) -> Bools:
    n = stack.n
    if not stack.causal:
        return (part.in_degree() == n) | (part.out_degree() == n)
    early = np.arange(n) < n // 2
    return early & (part.in_degree() == n - np.arange(n))


def reach_without(stack: LayeredRelation, gone: Bools, ask: ReachRequest) -> Reach:
    """The reach among the other tokens once some are removed with all their edges, up to 64 layers."""
    layers = DEPTH if ask.layers is None else ask.layers
    return solve(without(stack, gone), replace(ask, layers=layers))


def without(stack: LayeredRelation, gone: Bools) -> LayeredRelation:
    """The stack over the tokens that are left, renumbered."""
    parts = tuple(part.without(gone) for part in stack.parts)
    return LayeredRelation(int((~gone).sum()), parts, stack.declared or stack.causal)


def rest_of(expr: Expr, n: int, gone: Bools) -> Expr:
    """An expression over the tokens that are left, renumbered; its slots stay, with the tokens that are left."""
    slots = [_rest_of_slots(each, n, gone) for each in slots_of(expr)]
    edges: list[Expr] = [Explicit(remove(each.slices(n), gone)) for each in direct_of(expr)] if slots else []
    parts = [*slots, *edges] or [Explicit(remove(expr.slices(n), gone))]
    return parts[0] if len(parts) == 1 else Union(tuple(parts))


def _rest_of_slots(slots: Slots, n: int, gone: Bools) -> Slots:
    none = np.zeros(slots.count, dtype=np.bool_)
    reads, writes = remove(slots.sources(n), none, gone), remove(slots.writes, gone, none[: slots.writes.m])
    return Slots(slots.count, reads, writes)
