"""Figures as data: the panels of a group, their lines, and a mark for every point that has no value."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from attnprof.quantities import DECODE_PANELS, PANELS, Quantity, Reading
from attnprof.records import Record
from attnprof.render.axes import Axis, length_axis, value_axis
from attnprof.render.exponents import last_exponent
from attnprof.render.palette import Style
from attnprof.render.series import Conditions, Group, Series
from attnprof.words import Pass, Status

MOST_HIGHLIGHTED = 9


@dataclass(frozen=True, slots=True)
class SeriesLine:
    """One series in one panel: its readings by n, and the exponent with which it grows at its longest lengths."""

    label: str
    style: Style
    readings: Mapping[int, Reading]
    exponent: float | None
    highlighted: bool

    def pieces(self, lengths: Sequence[int]) -> list[list[int]]:
        """Runs of neighbouring lengths that all have a value; a line breaks where one is missing."""
        runs: list[list[int]] = [[]]
        for n in lengths:
            if n in self.readings:
                runs[-1].append(n)
            elif runs[-1]:
                runs.append([])
        return [run for run in runs if run]


@dataclass(frozen=True, slots=True)
class Mark:
    """Why there is no value at n: a status (or `missing`), and the series that it holds for."""

    status: str
    n: int
    labels: tuple[str, ...]
    style: Style | None


@dataclass(frozen=True, slots=True)
class Panel:
    """One metric against n on two log axes."""

    metric: Quantity
    x: Axis
    y: Axis
    lengths: tuple[int, ...]
    lines: tuple[SeriesLine, ...]
    marks: tuple[Mark, ...]

    @property
    def statuses(self) -> tuple[str, ...]:
        """The kinds of marks of this panel, one row of the strip above the plot each."""
        return tuple(dict.fromkeys(mark.status for mark in self.marks))


@dataclass(frozen=True, slots=True)
class Figure:
    """The panels of one group of comparable points."""

    name: str
    conditions: Conditions
    panels: tuple[Panel, ...]
    legend: tuple[tuple[str, Style, bool], ...]
    impls: tuple[str, ...]
    layered: bool


def figure(group: Group, styles: Mapping[str, Style], name: str) -> Figure:
    """The figure of a group; panels for which no series has a value are left out."""
    strong = highlighted(group)
    metrics = DECODE_PANELS if group.conditions.pass_ is Pass.DECODE else PANELS
    panels = [p for m in metrics if (p := _panel(group, m, styles, strong)) is not None]
    legend = tuple((s.label, styles[s.label], s.label in strong) for s in group.series)
    impls = tuple(sorted({s.impl for s in group.series if s.impl}))
    layered = any(r.point.layers > 1 for r in group.records)
    return Figure(name, group.conditions, tuple(panels), legend, impls, layered)


def highlighted(group: Group) -> frozenset[str]:
    """The labels drawn in colour: all, or the baselines with the cheapest and the dearest of the rest."""
    if len(group.series) <= MOST_HIGHLIGHTED:
        return frozenset(s.label for s in group.series)
    metric = next((m for m in PANELS if any(s.readings(m) for s in group.series)), PANELS[0])
    rest = [s for s in group.series if not s.baseline]
    ranked = sorted(rest, key=lambda s: (_at_longest(s, metric), s.label))
    room = MOST_HIGHLIGHTED - len(group.baselines)
    cheap = (room + 1) // 2
    chosen = [*group.baselines, *ranked[:cheap], *ranked[len(ranked) - (room - cheap) :]]
    return frozenset(s.label for s in chosen)


def _at_longest(series: Series, metric: Quantity) -> float:
    """The value at the longest length, over n: what ranks series that end at different lengths."""
    readings = series.readings(metric)
    return readings[max(readings)].value / max(readings) if readings else float("inf")


def _panel(group: Group, metric: Quantity, styles: Mapping[str, Style], strong: frozenset[str]) -> Panel | None:
    lines = []
    for series in group.series:
        readings = series.readings(metric)
        if readings:
            exponent = last_exponent(series.values(metric))
            lines.append(SeriesLine(series.label, styles[series.label], readings, exponent, series.label in strong))
    if not lines:
        return None
    bounds = [v for line in lines for r in line.readings.values() for v in (r.value, r.low, r.high) if v]
    lengths = group.lengths
    axes = length_axis(lengths), value_axis(bounds, metric.unit)
    return Panel(metric, *axes, lengths, tuple(lines), _marks(group, metric, styles))


def _marks(group: Group, metric: Quantity, styles: Mapping[str, Style]) -> tuple[Mark, ...]:
    lacking: dict[tuple[str, int], list[str]] = defaultdict(list)
    for series in group.series:
        for record in series.records:
            if metric.source(record) is None:
                lacking[_why(record), record.point.shape.n].append(series.label)
    order = ("oom", "predicted_oom", "over_budget", "timeout", "unsupported", "failed", "killed", "missing")
    keys = sorted(lacking, key=lambda key: (order.index(key[0]), key[1]))
    return tuple(
        Mark(
            status,
            n,
            tuple(lacking[status, n]),
            styles[lacking[status, n][0]] if len(lacking[status, n]) == 1 else None,
        )
        for status, n in keys
    )


def _why(record: Record) -> str:
    return "missing" if record.status is Status.OK else record.status
