"""The table of a paper: for each scheme the cost at one length, its exponent, and where it falls below a baseline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attnprof.quantities import COMPARED, SAVED, Quantity
from attnprof.records import Record
from attnprof.render.exponents import last_exponent
from attnprof.render.numbers import around, quantity
from attnprof.render.series import Group, Series
from attnprof.render.verdicts import CrossingVerdict, opponents, verdict
from attnprof.words import Status


def table_context(group: Group, citations: Mapping[str, str]) -> dict[str, Any]:
    """What the template of a table needs: columns with their n, rows with cells, citations and verdicts."""
    metrics = [m for m in (*COMPARED, SAVED) if any(s.readings(m) for s in group.series)]
    columns = [{"metric": m, "n": _common(group, m)} for m in metrics]
    bases = [(m, b) for m in COMPARED for b in opponents(group, m)]
    rows = [
        {
            "label": s.label,
            "cite": citations.get(s.target),
            "cells": [_cell(s, c["metric"], c["n"]) for c in columns],
            "verdicts": [_verdict(s, b, m) for m, b in bases],
        }
        for s in group.series
    ]
    return {"columns": columns, "rows": rows, "verdicts": [{"metric": m, "baseline": b.label} for m, b in bases]}


def _common(group: Group, metric: Quantity) -> int:
    """The longest length at which at least half of the schemes that have the metric at all have a value."""
    having = [r for s in group.series if (r := s.readings(metric))]
    return max(n for n in group.lengths if 2 * sum(n in r for r in having) >= len(having))


def _cell(series: Series, metric: Quantity, n: int) -> dict[str, Any]:
    reading = series.readings(metric).get(n)
    values = {k: v for k, v in series.values(metric).items() if k <= n}
    text = "" if reading is None else quantity(reading.value, metric.unit)
    predicted = reading is not None and reading.predicted
    exponent = last_exponent(values) if reading is not None else None
    return {"text": text, "predicted": predicted, "exponent": exponent, "status": _status(series, n)}


def _status(series: Series, n: int) -> str:
    found: Record | None = next((r for r in series.records if r.point.shape.n == n), None)
    return "missing" if found is None or found.status is Status.OK else found.status


def _verdict(series: Series, baseline: Series, metric: Quantity) -> str:
    if series.baseline:
        return "–"
    return verdict_text(verdict(series, baseline, metric))


def verdict_text(found: CrossingVerdict | None) -> str:
    """A verdict in one word: the length from which, `all`, `none`, `equal`, or a dash where nothing is comparable."""
    if found is None:
        return "–"
    if found.crossing is not None:
        return f"{'≥' if found.kind == 'from' else '≤'} {around(found.crossing.n)}"
    return {"always": "all", "same": "equal"}.get(found.kind, "none")
