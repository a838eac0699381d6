"""Work that the edges do not explain: executed far beyond what they need, or growing with the square of n."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from attnprof.quantities import ARITH, CORE, EXP, PEAK, SAVED, SELECT, USEFUL, Quantity
from attnprof.records import JsonDict
from attnprof.render.claims.evidence import evidence
from attnprof.render.claims.fact import Claim
from attnprof.render.exponents import steps
from attnprof.render.series import Group, Series

SPARSE_IN_NAME = 2.5
QUADRATIC, SLOW = 1.7, 1.3
COUNTED: tuple[Quantity, ...] = (CORE, EXP, ARITH, SELECT, SAVED, PEAK)


def in_name_only(groups: Sequence[Group]) -> list[Claim]:
    """Series whose code executes far more core FLOPs than their edges need at the longest n, worst first."""
    worst: dict[str, tuple[JsonDict, Series]] = {}
    judged: set[str] = set()
    for group in groups:
        for series in (s for s in group.series if not s.baseline):
            useful, executed = series.values(USEFUL), series.values(CORE)
            n = max(executed, default=None)
            if n is None or not useful.get(n):
                continue
            judged.add(series.label)
            times = executed[n] / useful[n]
            fact = {"label": series.label, "impl": series.computed_by, "ratio": times, "n": n}
            if times > SPARSE_IN_NAME and times > _ratio(worst, series.label):
                worst[series.label] = (fact, series)
    if not judged:
        return []
    ranked = sorted(worst.values(), key=lambda found: (-found[0]["ratio"], found[0]["label"]))
    points = tuple(evidence(series, CORE)[fact["n"]] for fact, series in ranked)
    facts = {"schemes": [fact for fact, _ in ranked], "judged": len(judged), "limit": SPARSE_IN_NAME}
    return [Claim("in_name_only", facts, points)]


def _ratio(worst: dict[str, tuple[JsonDict, Series]], label: str) -> float:
    return float(worst[label][0]["ratio"]) if label in worst else 0.0


def hidden(groups: Sequence[Group]) -> list[Claim]:
    """Counted work that grows nearly with the square of n at the end of series whose edges, or early work, do not."""
    found: dict[tuple[str, str], tuple[JsonDict, Series]] = {}
    for group in groups:
        for series in group.series:
            if not series.baseline and _claims_less(series):
                for fact in _quadratic(series):
                    key = (series.label, fact["metric"].key)
                    if key not in found or fact["exponent"] > found[key][0]["exponent"]:
                        found[key] = (fact, series)
    ranked = sorted(found.values(), key=lambda item: (item[0]["label"], -item[0]["exponent"]))
    points = tuple(evidence(series, fact["metric"])[fact["high"]] for fact, series in ranked)
    return [Claim("hidden", {"schemes": [fact for fact, _ in ranked]}, points)] if ranked else []


def _quadratic(series: Series) -> Iterator[JsonDict]:
    for metric in COUNTED:
        growth = steps(series.values(metric))
        if growth and growth[-1].slope > QUADRATIC:
            last = growth[-1]
            facts = {"label": series.label, "impl": series.computed_by, "metric": metric}
            yield {**facts, "exponent": last.slope, "low": last.n_low, "high": last.n_high}


def _claims_less(series: Series) -> bool:
    """Whether the edges, or the first lengths where there are no edges, grow clearly slower than n squared."""
    useful = steps(series.values(USEFUL))
    if useful:
        return useful[-1].slope < SLOW
    core = steps(series.values(CORE))
    return bool(core) and core[0].slope < SLOW
