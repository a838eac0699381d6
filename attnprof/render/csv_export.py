"""Records and figures as tidy CSV: one row a point, units in the names, an empty cell for a missing value."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence

from attnprof.quantities import costed, vars_of
from attnprof.records import Record
from attnprof.render.pages.view import CurveKind, PageView
from attnprof.render.series import Group, Series
from attnprof.words import Timing

POINT = ("level", "pass", "causal", "batch", "heads", "kv_heads", "dim", "depth", "layers", "dtype", "device", "seed")
COST = costed()
MEASURED = ("saved_bytes", "peak_bytes", "reserved_bytes", "energy_j", "clock_mhz", "threads")
FORMULA = ("=", "+", "-", "@", "\t", "\r")
TIMES = tuple(timing.value for timing in Timing)


def curve_csv(view: PageView, kind: CurveKind, series: Sequence[Series]) -> str:
    """The data of one panel: a row for every point, with its state, its flags, and why there is no value."""
    head = ("scheme", "impl", "n", "quantity", "unit", "value", "low", "high", "state", "flags", "reason")
    return _text(head, [row for s in series for row in _curve_rows(view, kind, s)])


def _curve_rows(view: PageView, kind: CurveKind, series: Series) -> Iterator[list[object]]:
    for n, at in kind.points(view, series).items():
        bounds = [at.value, at.low, at.high]
        about = [kind.title, kind.unit, *bounds, at.state, "; ".join(at.flags), at.reason]
        yield [series.label, series.computed_by, n, *about]


def points_csv(groups: Sequence[Group]) -> str:
    """Every record whole: its point, all costs, all measurements with their intervals, status, flags and reasons."""
    measured = [f"measured_{name}" for name in MEASURED]
    times = [f"{name}{part}" for name in TIMES for part in ("", "_low", "_high", "_samples")]
    head = (
        "key",
        "scheme",
        "target",
        "impl",
        "n",
        *POINT,
        "params",
        *(quantity.key for quantity in COST),
        *measured,
        *times,
        "status",
        "flags",
        "reasons",
    )
    return _text(head, [_point_row(s.label, r) for g in groups for s in g.series for r in s.records])


def _point_row(label: str, record: Record) -> list[object]:
    point = {**record.point.to_json(), "device": record.point.place}
    held = {} if record.cost is None else vars_of(record.cost)
    cost = [quantity.of_cost(held) for quantity in COST]
    measured = [None if record.measured is None else getattr(record.measured, name) for name in MEASURED]
    params = "; ".join(f"{k}={v}" for k, v in sorted(point["params"].items()))
    fixed = [record.key, label, point["target"], point["impl"], point["n"], *(point[k] for k in POINT), params]
    end = [record.status, "; ".join(record.flags), "; ".join(f"{k}: {v}" for k, v in sorted(record.reasons.items()))]
    return [*fixed, *cost, *measured, *_times(record), *end]


def _times(record: Record) -> list[object]:
    found: list[object] = []
    for name in TIMES:
        interval = None if record.measured is None else getattr(record.measured, name)
        found += (
            [None] * 4 if interval is None else [interval.median, interval.low, interval.high, len(interval.samples)]
        )
    return found


def _text(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(head)
    writer.writerows([_cell(v) for v in row] for row in rows)
    return out.getvalue()


def _cell(value: object) -> object:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str) and value.startswith(FORMULA):
        return f"'{value}"  # a spreadsheet would compute it: names and reasons may come from anybody
    return f"{value:.9g}" if isinstance(value, float) else value
