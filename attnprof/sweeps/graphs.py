"""What each swept scheme can see, beside what it costs: one graph record a target, at a length that answers at once."""

from __future__ import annotations

from attnprof.contracts import SchemeTarget, Target
from attnprof.records import Point, Record

LONGEST = 4096


def graph_of(target: Target, point: Point, longest: int) -> Record | None:
    """The graph record of a target whose longest point is `longest`; None of what has no pattern, as a user's module.

    At most 4096 tokens; patterns that depend on data at the length at which `graph` shows them. Raises `AttnprofError`
    for one that cannot be analysed.
    """
    from attnprof.graph.analysis import Request, analyze, selecting_n
    from attnprof.graph.record import graph_record

    if not isinstance(target, SchemeTarget):
        return None
    shape, n = point.shape, min(longest, LONGEST)
    if target.card.data_dependent:
        n = selecting_n(target, shape.replace(n=n))
    request = Request(n=n, causal=shape.causal, heads=shape.heads, dim=shape.dim, seed=shape.seed, seeds=0, side=0)
    return graph_record(analyze(target, request), point.source)
