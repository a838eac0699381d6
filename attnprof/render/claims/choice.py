"""What to use at one n: the cheapest of the schemes that see enough, beside the baseline, with every doubt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from attnprof.quantities import PEAK, READS, STATE, Quantity
from attnprof.render.claims.evidence import Evidence, PointState, evidence
from attnprof.render.claims.fact import Claim
from attnprof.render.claims.sight import Graphs, Sight, sight
from attnprof.render.claims.versus import Versus, versus
from attnprof.render.series import Group, Series
from attnprof.words import Pass

WITHIN: tuple[int | None, ...] = (1, 2, 4, 16, None)
LEAST: tuple[float, ...] = (0.0, 0.01, 0.1, 1.0)  # of the keys that a query may read, how many it must
MOST_TIES = 3


@dataclass(frozen=True)
class Candidate:
    """One series at one n: its cost, what it sees, how it and its memory stand to the baseline."""

    series: Series
    cost: Evidence
    sight: Sight
    against: Versus | None
    memory: Versus | None
    memory_at: Evidence | None


@dataclass(frozen=True)
class Ranking:
    """All series of a group at one n in one quantity: the baseline, and the rest by rising cost."""

    group: Group
    n: int
    metric: Quantity
    baseline: Candidate | None
    rest: tuple[Candidate, ...]

    @property
    def everyone(self) -> tuple[Candidate, ...]:
        """The baseline first."""
        return (*([] if self.baseline is None else [self.baseline]), *self.rest)


Evidences = Mapping[tuple[str, str], Mapping[int, Evidence]]


def evidences(group: Group, metrics: Sequence[Quantity]) -> Evidences:
    """What each series says of each quantity, by label and key."""
    return {(s.label, m.key): evidence(s, m) for s in group.series for m in metrics}


def memory_of(group: Group) -> Quantity:
    """What memory means in this pass: the state that decoding keeps, else the peak of the pass."""
    return STATE if group.conditions.pass_ is Pass.DECODE else PEAK


def baseline_of(group: Group, metric: Quantity, known: Evidences, n: int) -> Series | None:
    """The exact scheme to be held against at n: the fused one where it has a value, else the other."""
    usable = [s for s in group.baselines if (at := known[s.label, metric.key].get(n)) and at.state.valued]
    surest = [s for s in usable if known[s.label, metric.key][n].state is not PointState.PREDICTED]
    found = surest or usable
    return found[-1] if found else None


def standing(group: Group, metric: Quantity, n: int, graphs: Graphs, known: Evidences) -> Ranking:
    """Who stands where at n. `known` holds this quantity and the memory's."""
    base, memory = baseline_of(group, metric, known, n), memory_of(group)
    theirs = None if base is None else known[base.label, metric.key][n]
    held = None if base is None else known[base.label, memory.key].get(n)
    found = []
    for series in group.series:
        cost, kept = known[series.label, metric.key].get(n), known[series.label, memory.key].get(n)
        if cost is None:
            continue
        other = series is not base
        found.append(
            Candidate(
                series,
                cost,
                sight(series, n, group.conditions.causal, graphs),
                versus(cost, theirs) if theirs and other else None,
                versus(kept, held) if kept and held and other else None,
                kept if kept is not None and kept.state.valued else None,
            )
        )
    ranked = sorted((c for c in found if c.series is not base), key=_by_cost)
    return Ranking(group, n, metric, next((c for c in found if c.series is base), None), tuple(ranked))


def _by_cost(candidate: Candidate) -> tuple[bool, float, str]:
    value = candidate.cost.value
    return value is None, value or 0.0, candidate.series.label


def choice(at: Ranking, within: int | None, least: float = 0.0) -> Claim:
    """The claim of the first screen: the least cost among the schemes known to reach every token within so many layers.

    A query must also be known to read a part `least` of the keys that it may read. Exact schemes do not compete. How
    many of them have no value here, and of how many the reach is not known, is said; schemes whose intervals overlap
    with the least are named beside it; whoever is cheaper still is told with what it does not see. To stay with the
    baseline is the claim where every one of them was measured and needs more for sure; where some are not told apart
    from it, or have no value, the claim is that nothing tells whether to leave it.
    """
    rivals = [c for c in at.rest if not c.series.baseline]
    reaching = [c for c in rivals if c.sight.reaches(within) and c.sight.reads(least)]
    valued = [c for c in reaching if c.cost.state.valued]
    sure = [c for c in valued if c.against is None or c.against.outcome == "less"]
    best = sure[0] if sure else None
    ties = [] if best is None else [c for c in valued if c is not best and _overlap(c.cost, best.cost)]
    wider = _wider(best, sure)
    cheaper = _cheaper(best, rivals, reaching)
    told = [c for c in (at.baseline, best, wider, cheaper, *ties[:MOST_TIES]) if c is not None]
    facts = {
        "standing": at,
        "within": within,
        "least": least,
        "baseline": at.baseline,
        "reaching": len(reaching),
        "valued": len(valued),
        "even": sum(c.against is not None and c.against.outcome == "even" for c in valued),
        "unsettled": sum(c.against is not None and c.against.unbounded for c in valued),
        "unknown": sum(c.sight.reaching == "unknown" for c in rivals),
        "best": best,
        "ties": ties[:MOST_TIES],
        "more_ties": max(len(ties) - MOST_TIES, 0),
        "wider": wider,
        "cheaper": cheaper,
        "memory": memory_of(at.group),
        "reads": READS,
    }
    points = tuple(c.cost for c in told)
    return Claim("choice", facts, points, at.group.conditions, (at.n,))


def _overlap(a: Evidence, b: Evidence) -> bool:
    found = versus(a, b)
    return found is not None and found.outcome == "even"


def _wider(best: Candidate | None, sure: Sequence[Candidate]) -> Candidate | None:
    """Of those that need less than the baseline too, the one whose queries read most keys, if most by far."""
    if best is None:
        return None
    counted = [c for c in sure if c is not best and c.sight.keys is not None]
    widest = max(counted, key=lambda c: (c.sight.keys or 0.0, c.series.label), default=None)
    if widest is None or (best.sight.keys is not None and (widest.sight.keys or 0) < 2 * best.sight.keys):
        return None
    return widest


def _cheaper(best: Candidate | None, rivals: Sequence[Candidate], reaching: Sequence[Candidate]) -> Candidate | None:
    """The cheapest of all where that does not see as much: told, lest its cost be thought away."""
    found = [c for c in rivals if c.cost.state.valued and not any(c is r for r in reaching)]
    if not found or found[0].cost.value is None:
        return None
    if found[0].against is not None and found[0].against.outcome != "less":
        return None
    if best is not None and best.cost.value is not None and found[0].cost.value >= best.cost.value:
        return None
    return found[0]
