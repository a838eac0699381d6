"""What was not measured and why, and how many of the measured points carry a flag."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from attnprof.quantities import WALL
from attnprof.render.claims.evidence import Evidence, PointState, evidence
from attnprof.render.claims.fact import Claim
from attnprof.render.series import Group


def unmeasured(groups: Sequence[Group]) -> list[Claim]:
    """A claim for each state without a measurement: how many points, of which series, the first reason."""
    found: dict[PointState, list[Evidence]] = defaultdict(list)
    for group in groups:
        for series in group.series:
            for at in evidence(series, WALL).values():
                if at.state not in (PointState.MEASURED, PointState.FLAGGED):
                    found[at.state].append(at)
    claims = []
    for state in PointState:
        points = found.get(state, [])
        if points:
            labels = sorted({p.label for p in points})
            facts = {"state": state, "count": len(points), "labels": labels, "reason": _reason(points)}
            claims.append(Claim("unmeasured", facts, tuple(points)))
    return claims


def _reason(points: Sequence[Evidence]) -> str:
    """The reason that most of them give, where they do not all give the same."""
    if points[0].state is PointState.PREDICTED:
        return ""
    return Counter(p.reason for p in points).most_common(1)[0][0]


def flagged(groups: Sequence[Group]) -> Claim | None:
    """How many of the measured times carry which flag; None where nothing was measured."""
    times = [p for g in groups for s in g.series for p in evidence(s, WALL).values()]
    measured = [p for p in times if p.state in (PointState.MEASURED, PointState.FLAGGED)]
    if not measured:
        return None
    doubtful = [p for p in measured if p.flags]
    counts = Counter(flag for p in doubtful for flag in p.flags)
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    facts = {"flagged": len(doubtful), "measured": len(measured), "counts": ranked}
    return Claim("flagged", facts, tuple(measured))
