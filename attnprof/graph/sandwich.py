"""Certified bounds of a mask of which only tiles are known: some are full, others have some edges inside.

With more edges nothing is reached later. So the full tiles alone bound every pair's reach from below, and all tiles
that are not empty, taken as full, bound it from above; where both agree the answer is exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attnprof.graph.ladder import solve
from attnprof.graph.reach import Ask, Reach
from attnprof.graph.stack import Stack
from attnprof.pattern import Slices

UNBOUNDED = ("spectrum", "clustering", "clustering_interval", "mixing")
EXACT = ("hubs", "hubs_at")
WHY = "the tiles do not say: it may rise or fall with the edges inside of them"


def bounds(sure: Slices, possible: Slices, ask: Ask | None = None, causal: bool = False) -> dict[str, Any]:
    """Edges, reach by layer, and layers to full reach, each from below and from above."""
    wanted = ask or Ask()
    least, most = (solve(Stack.single(slices, causal), wanted) for slices in (sure, possible))
    depth = max(len(least.layers), len(most.layers))
    return {
        "edges": {"low": sure.edges, "high": possible.edges},
        "reach": [{"layer": at, "low": _share(least, at), "high": _share(most, at)} for at in range(1, depth + 1)],
        "layers_to_full": {"at_least": most.layers_to_full, "at_most": least.layers_to_full},
    }


def _share(reach: Reach, layer: int) -> float:
    known = [entry.share for entry in reach.layers if entry.layer <= layer]
    return known[-1] if known else reach.n / reach.pairs


def certified(facts: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """The facts of the largest mask that the tiles allow, marked as the bounds that they are."""
    exact = {key: how if key in EXACT else "bound" for key, how in facts["exact"].items() if key not in UNBOUNDED}
    missing = [key for key in UNBOUNDED if key in facts]
    return {
        **facts,
        **dict.fromkeys(missing),
        "exact": exact,
        "reasons": {**facts["reasons"], **dict.fromkeys(missing, WHY)},
        "bounds": found,
    }
