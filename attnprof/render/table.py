"""The table of all points: one row a record, with what sorts it and why it lacks a value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from attnprof.quantities import READS, STATE, TABULATED, Quantity, Side
from attnprof.quantities import quantity as known
from attnprof.records import Record
from attnprof.render.numbers import interval, quantity
from attnprof.render.series import Conditions, Group, why
from attnprof.words import Pass


@dataclass(frozen=True, slots=True)
class Cell:
    """A number of the table: its text, its exact value to sort by, and the reason where there is none."""

    text: str
    value: float | None
    detail: str = ""
    predicted: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One record as the table shows it."""

    label: str
    conditions: Conditions
    n: int
    record: Record
    cells: tuple[Cell, ...]


def rows(groups: Sequence[Group]) -> tuple[Row, ...]:
    """Every record of every group, by scheme, then conditions, then n."""
    found = [_row(s.label, g.conditions, r) for g in groups for s in g.series for r in s.records]
    place = {g.conditions: k for k, g in enumerate(groups)}
    names = {s.label: k for k, s in enumerate(s for g in groups for s in g.series)}
    return tuple(sorted(found, key=lambda row: (names[row.label], place[row.conditions], row.n)))


def columns(groups: Sequence[Group]) -> tuple[Quantity, ...]:
    """The metrics that any record holds; state and reads only beside decoding."""
    decoding = any(g.conditions.pass_ is Pass.DECODE for g in groups)
    shown = [m for m in TABULATED if decoding or m not in (STATE, READS)]
    return tuple(m for m in shown if any(m.source(r) is not None for g in groups for r in g.records))


def _row(label: str, conditions: Conditions, record: Record) -> Row:
    cells = tuple(cell(record, metric) for metric in TABULATED)
    return Row(label, conditions, record.point.shape.n, record, cells)


def cell(record: Record, metric: Quantity) -> Cell:
    """The value of a metric per layer, zero included; with its interval, or with the reason for its absence."""
    raw = metric.source(record)
    if raw is None:
        return Cell("", None, reason(record, metric.key))
    reading = metric.read(record)
    if reading is None:
        return Cell(quantity(raw.value, metric.unit), raw.value, predicted=raw.predicted)
    detail = ""
    if reading.low is not None and reading.high is not None:
        detail = interval(reading.low, reading.high, metric.unit)
    return Cell(quantity(reading.value, metric.unit), reading.value, detail, reading.predicted)


def reason(record: Record, key: str) -> str:
    """Why a record lacks a value: the reason for that field, else for its side of the record, else for its status."""
    side = Side.MEASURED if known(key).side is Side.MEASURED else Side.COST
    for name in (key, f"{side}.{key}", side):
        if name in record.reasons:
            return record.reasons[name]
    return why(record)


def place(columns: Sequence[Quantity]) -> list[int]:
    """Where the cell of each column stands in a row."""
    return [TABULATED.index(metric) for metric in columns]
