"""What other counters say beside the executed FLOPs: where they agree, where not, and where they say nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from attnprof.quantities import FLOPS
from attnprof.records import Record
from attnprof.render.claims.evidence import Evidence, evidence
from attnprof.render.claims.fact import Claim
from attnprof.render.series import Group, Series

DISAGREES = 0.01


def opinions(groups: Sequence[Group]) -> list[Claim]:
    """A claim for each other counter. One that gives no number for a scheme is told of, with its reason."""
    asked: dict[str, dict[str, list[tuple[Series, Record, int | None]]]] = defaultdict(lambda: defaultdict(list))
    for group in groups:
        for series in group.series:
            for record in series.records:
                held = {} if record.cost is None else record.cost.second_opinion
                for tool, theirs in held.items():
                    asked[tool][series.label].append((series, record, theirs))
    return [_opinion(tool, by_label) for tool, by_label in sorted(asked.items())]


def _opinion(tool: str, by_label: dict[str, list[tuple[Series, Record, int | None]]]) -> Claim:
    off: list[dict[str, object]] = []
    agreed: list[str] = []
    silent: dict[str, list[str]] = defaultdict(list)
    points: list[Evidence] = []
    for label, rows in sorted(by_label.items()):
        shares = [(s, r, t / done) for s, r, t in rows if t is not None and (done := _executed(r))]
        if not shares:
            silent[_reason(tool, rows[0][1])].append(label)
            continue
        series, record, share = max(shares, key=lambda row: abs(row[2] - 1))
        points.append(evidence(series, FLOPS)[record.point.shape.n])
        if abs(share - 1) > DISAGREES:
            off.append({"label": label, "share": share, "n": record.point.shape.n})
        else:
            agreed.append(label)
    facts = {
        "tool": tool,
        "off": sorted(off, key=lambda fact: (fact["share"], fact["label"])),
        "agreed": agreed,
        "silent": sorted(silent.items()),
    }
    return Claim("opinion", facts, tuple(points))


def _executed(record: Record) -> int:
    return 0 if record.cost is None else record.cost.flops_executed or 0


def _reason(tool: str, record: Record) -> str:
    for key in (f"second_opinion.{tool}", "second_opinion"):
        if key in record.reasons:
            return record.reasons[key]
    return "no reason recorded"
