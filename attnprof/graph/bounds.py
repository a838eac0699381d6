"""Certified bounds of a mask of which only tiles are known: some are full, others have some edges inside.

With more edges nothing is reached later. So the full tiles alone bound every pair's reach from below, and all tiles
that are not empty, taken as full, bound it from above; where both agree the answer is exact.
"""

from __future__ import annotations

from attnprof.graph.ladder import solve
from attnprof.graph.layered import LayeredRelation
from attnprof.graph.reach import Reach, ReachRequest
from attnprof.pattern import Slices
from attnprof.records import GraphFacts, JsonDict, JsonObject

UNBOUNDED = ("spectrum", "clustering", "clustering_interval", "mixing", "structure")
WHY = "the tiles do not say: it may rise or fall with the edges inside of them"


def bounds(sure: Slices, possible: Slices, ask: ReachRequest | None = None, causal: bool = False) -> dict[str, object]:
    """Edges, reach by layer, and layers to full reach, each from below and from above."""
    wanted = ask or ReachRequest()
    least, most = (solve(LayeredRelation.single(slices, causal), wanted) for slices in (sure, possible))
    depth, pairs = max(len(least.layers), len(most.layers)), most.pairs
    rows = [(at, _reached(least, at) / pairs, _reached(most, at) / pairs) for at in range(1, depth + 1)]
    return {
        "edges": {"low": sure.edges, "high": possible.edges},
        "reach": [{"layer": at, "low": low, "high": high} for at, low, high in rows],
        "layers_to_full": {
            "at_least": most.layers_to_full,
            "at_most": least.layers_to_full if least.pairs == pairs else None,
        },
    }


def _reached(reach: Reach, layer: int) -> int:
    """Pairs within so many layers, counted and not as a share: full tiles alone may look causal."""
    return int(reach.histogram[: layer + 1].sum())


def certified(facts: GraphFacts, found: JsonObject) -> JsonDict:
    """The facts of the largest mask that the tiles allow, marked as the bounds that they are."""
    exact = {key: "bound" for key in facts["exact"] if key not in UNBOUNDED}
    missing = [key for key in UNBOUNDED if key in facts]
    return {
        **facts,
        **dict.fromkeys(missing),
        "exact": exact,
        "reasons": {**facts["reasons"], **dict.fromkeys(missing, WHY)},
        "bounds": found,
        "flags": [flag for flag in facts["flags"] if flag == "causal"],  # fewer edges read no more of the future
    }
