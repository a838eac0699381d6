"""What the records say, as facts that a template words. Nothing is stated that the records do not hold."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from attnprof.quantities import ARITH, COMPARED, CORE, EXP, FLOPS, PEAK, SAVED, SELECT, USEFUL, Quantity
from attnprof.records import Record
from attnprof.render.exponents import steps
from attnprof.render.numbers import around, ratio
from attnprof.render.series import Conditions, Group, Series, why
from attnprof.render.verdicts import CrossingKind, CrossingVerdict, opponents, verdicts
from attnprof.words import Pass, Status

SPARSE_IN_NAME = 2.5
DISAGREES = 0.01
QUADRATIC, SLOW = 1.7, 1.3


@dataclass(frozen=True, slots=True)
class Claim:
    """One kind of fact with what its sentence needs; `reports/templates/findings.html.j2` words it."""

    kind: str
    facts: Mapping[str, Any]


def findings(groups: Sequence[Group], graphs: Sequence[Record] = ()) -> tuple[Claim, ...]:
    """Every finding of the records, the comparisons with the dense baseline first."""
    makers: tuple[Callable[[Sequence[Group]], list[Claim]], ...] = (crossings, in_name_only, fits, hidden, opinions)
    found = [finding for make in makers for finding in make(groups)]
    return (*found, *reach(graphs, groups), *unmeasured(groups))


def crossings(groups: Sequence[Group]) -> list[Claim]:
    """For each metric, who becomes cheaper than exact attention, and from which length, under which conditions."""
    found = []
    for metric in COMPARED:
        pairs = [(group, baseline) for group in groups for baseline in opponents(group, metric)]
        cases = [case for group, baseline in pairs if (case := _case(group, metric, baseline)) is not None]
        if cases:
            found.append(Claim("crossing", {"metric": metric, "cases": merged(cases), "first": not found}))
    return found


def merged(cases: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Cases that say the same of different conditions, as one; `conditions` becomes `where`, a list of them."""
    alike: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for case in cases:
        alike[repr({k: v for k, v in case.items() if k not in ("conditions", "kinds")} | {"said": _said(case)})].append(
            case
        )
    return [{**same[0], "where": [case["conditions"] for case in same]} for same in alike.values()]


def _said(case: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """What a sentence tells of each verdict, rounded as it tells it."""
    verdicts_ = [v for kind in case.get("kinds", {}).values() for v in kind]
    return [
        (
            v.label,
            v.kind,
            ratio(v.gain),
            v.longest,
            v.crossing and (around(v.crossing.n), v.crossing.low, v.crossing.high),
        )
        for v in verdicts_
    ]


def _case(group: Group, metric: Quantity, baseline: Series) -> dict[str, Any] | None:
    by_kind: dict[str, list[CrossingVerdict]] = {kind: [] for kind in get_args(CrossingKind)}
    for found in verdicts(group, metric, baseline):
        by_kind[found.kind].append(found)
    if not any(by_kind.values()):
        return None
    by_kind["from"].sort(key=lambda v: (v.crossing.n if v.crossing else 0, v.label))
    by_kind["always"].sort(key=lambda v: (-v.gain, v.label))
    return {"conditions": group.conditions, "baseline": baseline.label, "kinds": by_kind}


def in_name_only(groups: Sequence[Group]) -> list[Claim]:
    """Schemes whose code executes far more core FLOPs than their edges need, worst first."""
    worst: dict[str, dict[str, Any]] = {}
    judged: set[str] = set()
    for group in groups:
        for series in (s for s in group.series if not s.baseline):
            useful, executed = series.values(USEFUL), series.values(CORE)
            n = max(executed, default=None)
            if n is None or n not in useful:
                continue
            judged.add(series.label)
            fact = {"label": series.label, "ratio": executed[n] / useful[n], "n": n, "conditions": group.conditions}
            if fact["ratio"] > SPARSE_IN_NAME:
                worst[series.label] = max(worst.get(series.label, fact), fact, key=lambda f: f["ratio"])
    if not judged:
        return []
    ranked = sorted(worst.values(), key=lambda fact: (-fact["ratio"], fact["label"]))
    return [Claim("in_name_only", {"schemes": ranked, "judged": len(judged), "limit": SPARSE_IN_NAME})]


def fits(groups: Sequence[Group]) -> list[Claim]:
    """The longest length that fits the device, where a longer one of the sweep does not."""
    cases = []
    for group in groups:
        full = [(s, _first(s.records, (Status.OOM, Status.PREDICTED_OOM))) for s in group.series]
        stopped = [(s, r) for s, r in full if r is not None]
        if stopped:
            rest = [s.label for s, r in full if r is None]
            facts = [_limit(s, r) for s, r in stopped]
            cases.append(
                {"conditions": group.conditions, "stopped": facts, "rest": rest, "longest": max(group.lengths)}
            )
    return [Claim("fits", {"cases": merged(cases)})] if cases else []


def _first(records: Iterable[Record], statuses: Sequence[str]) -> Record | None:
    return next((r for r in records if r.status in statuses), None)


def _limit(series: Series, record: Record) -> dict[str, Any]:
    n = record.point.shape.n
    shorter = [r.point.shape.n for r in series.records if r.point.shape.n < n and r.status is Status.OK]
    need = None if record.cost is None else record.cost.peak_bytes
    return {"label": series.label, "fits": max(shorter, default=None), "n": n, "need": need, "status": record.status}


def hidden(groups: Sequence[Group]) -> list[Claim]:
    """Quantities that grow nearly quadratically at the end in schemes whose edges, or early work, do not."""
    worst: dict[tuple[str, str], dict[str, Any]] = {}
    for group in groups:
        for series in group.series:
            if not series.baseline and _claims_less(series):
                for fact in _quadratic(series, group.conditions):
                    key = (series.label, fact["metric"].key)
                    worst[key] = max(worst.get(key, fact), fact, key=lambda f: f["exponent"])
    ranked = sorted(worst.values(), key=lambda fact: (fact["label"], -fact["exponent"]))
    return [Claim("hidden", {"schemes": ranked})] if ranked else []


def _quadratic(series: Series, conditions: Conditions) -> Iterator[dict[str, Any]]:
    for metric in (CORE, EXP, ARITH, SELECT, SAVED, PEAK):
        growth = steps(series.values(metric))
        if growth and growth[-1].slope > QUADRATIC:
            last = growth[-1]
            where = {"low": last.n_low, "high": last.n_high, "conditions": conditions}
            yield {"label": series.label, "metric": metric, "exponent": last.slope, **where}


def _claims_less(series: Series) -> bool:
    """Whether the edges, or the first lengths where there are no edges, grow clearly slower than n squared."""
    useful = steps(series.values(USEFUL))
    if useful:
        return useful[-1].slope < SLOW
    core = steps(series.values(CORE))
    return bool(core) and core[0].slope < SLOW


def opinions(groups: Sequence[Group]) -> list[Claim]:
    """For each other counter, the schemes for which it disagrees with the executed FLOPs by more than a percent."""
    asked: dict[str, set[str]] = defaultdict(set)
    worst: dict[tuple[str, str], dict[str, Any]] = {}
    for group in groups:
        for series in group.series:
            for tool, fact in _disagreements(series, group.conditions):
                asked[tool].add(series.label)
                key = (tool, series.label)
                worst[key] = max(worst.get(key, fact), fact, key=lambda f: abs(f["share"] - 1))
    return [_opinion(tool, sorted(labels), worst) for tool, labels in sorted(asked.items())]


def _disagreements(series: Series, conditions: Conditions) -> Iterator[tuple[str, dict[str, Any]]]:
    for record in series.records:
        if record.cost is None or not record.cost.flops_executed:
            continue
        for tool, theirs in sorted(record.cost.second_opinion.items()):
            if theirs is not None:
                share = theirs / record.cost.flops_executed
                n = record.point.shape.n
                yield tool, {"label": series.label, "share": share, "n": n, "conditions": conditions}


def _opinion(tool: str, labels: Sequence[str], worst: Mapping[tuple[str, str], Mapping[str, Any]]) -> Claim:
    off = [worst[tool, label] for label in labels if abs(worst[tool, label]["share"] - 1) > DISAGREES]
    ranked = sorted(off, key=lambda fact: (fact["share"], fact["label"]))
    away = {fact["label"] for fact in off}
    return Claim("opinion", {"tool": tool, "off": ranked, "agreed": [x for x in labels if x not in away]})


def unmeasured(groups: Sequence[Group]) -> list[Claim]:
    """How many points have no measurement, by status, with the schemes and the first reason given."""
    points = [(s, g.conditions, r) for g in groups for s in g.series for r in s.records]
    by_status: dict[str, list[tuple[Series, Conditions, Record]]] = defaultdict(list)
    for series, conditions, record in points:
        if record.status is not Status.OK:
            by_status[record.status].append((series, conditions, record))
    facts = []
    for status, members in sorted(by_status.items()):
        labels = sorted({s.label for s, _, _ in members})
        reason = next((text for _, _, r in members if (text := why(r))), "")
        facts.append({"status": status, "count": len(members), "labels": labels, "reason": reason})
    static = sum(r.status is Status.OK and r.measured is None for _, _, r in points)
    return [Claim("unmeasured", {"statuses": facts, "static": static, "total": len(points)})] if points else []


def reach(graphs: Sequence[Record], groups: Sequence[Group] = ()) -> list[Claim]:
    """After how many layers every token can reach every other, and the executed FLOPs of so many layers."""
    facts = []
    for record in graphs:
        metrics = record.metrics or {}
        layers = metrics.get("layers_to_full")
        if layers is not None:
            shape = record.point.shape
            exact = (metrics.get("exact") or {}).get("layers_to_full", "exact")
            known = {"label": record.point.target, "layers": layers, "certainty": exact}
            flops = _flops_of_a_layer(record, groups)
            facts.append({**known, "n": shape.n, "causal": shape.causal, "flops": flops and flops * layers})
    ranked = sorted(facts, key=lambda fact: (fact["causal"], fact["layers"], fact["label"]))
    return [Claim("reach", {"schemes": ranked})] if ranked else []


def _flops_of_a_layer(record: Record, groups: Sequence[Group]) -> float | None:
    """Executed forward FLOPs of one layer of the scheme that a graph record is of, where the same n was costed."""
    point = record.point
    for group in groups:
        if group.conditions.pass_ is Pass.FORWARD and group.conditions.causal == point.label("causal"):
            for series in group.series:
                if series.target == point.target and (found := series.values(FLOPS).get(point.shape.n)):
                    return found
    return None
