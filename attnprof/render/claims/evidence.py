"""What is known of one series at one length: a value with its state, or the reason why there is none.

The state of a point is read off its record once, here. A status is never a reason: a point skipped for time is not
one that does not fit, and one that failed is not one that was never asked for.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from attnprof.flags import Doubt, doubt
from attnprof.quantities import FLOPS, WALL, Quantity, Side, Unit
from attnprof.records import Record
from attnprof.render.series import Series, why
from attnprof.render.table import reason as reason_of
from attnprof.units import format_length
from attnprof.words import Status

DOUBTED = {Unit.SECONDS: Doubt.TIME, Unit.JOULES: Doubt.ENERGY, Unit.BYTES: Doubt.MEMORY}


class PointState(StrEnum):
    """What a point can say of a quantity, the surest first; from `MEMORY` on there is no value."""

    COUNTED = "counted"
    MEASURED = "measured"
    FLAGGED = "flagged"
    PREDICTED = "predicted"
    MEMORY = "memory"
    UNTIMED = "untimed"
    UNREACHED = "unreached"
    LATE = "late"
    KILLED = "killed"
    FAILED = "failed"
    UNSUPPORTED = "unsupported"
    ABSENT = "absent"

    @property
    def valued(self) -> bool:
        """Whether there is a number to speak of."""
        return self in VALUED


VALUED = (PointState.COUNTED, PointState.MEASURED, PointState.FLAGGED, PointState.PREDICTED)
_SURENESS = {state: k for k, state in enumerate(PointState)}
WITHOUT: Mapping[str, PointState] = {
    "oom": PointState.MEMORY,
    "predicted_oom": PointState.MEMORY,
    "over_budget": PointState.UNTIMED,
    "timeout": PointState.LATE,
    "killed": PointState.KILLED,
    "failed": PointState.FAILED,
    "unsupported": PointState.UNSUPPORTED,
}


@dataclass(frozen=True, slots=True)
class Evidence:
    """One quantity of one series at one n, per layer where it adds up.

    `low` and `high` bound a measured value; one that is `unbounded` was measured too few times to say. `flags` are
    those that bear on this quantity. `reason` says why there is no value, or how a predicted one was found. `impl` is
    the implementation that it is a property of.
    """

    label: str
    impl: str
    n: int
    metric: Quantity
    state: PointState
    value: float | None = None
    low: float | None = None
    high: float | None = None
    flags: tuple[str, ...] = ()
    reason: str = ""
    unbounded: bool = False

    @property
    def bounds(self) -> tuple[float, float] | None:
        """The interval; a counted value is its own, a predicted one has none, and nothing bounds an unbounded one."""
        if self.value is None or self.state is PointState.PREDICTED:
            return None
        if self.unbounded:
            return 0.0, math.inf
        return (self.value if self.low is None else self.low, self.value if self.high is None else self.high)


ByLength = Mapping[int, Evidence]


def evidence(series: Series, metric: Quantity) -> dict[int, Evidence]:
    """What a series says of a quantity, by rising n; a skipped time is predicted if it can be."""
    found = {record.point.shape.n: _of(series, record, metric) for record in series.records}
    return _predicted(series, metric, found) if metric.unit is Unit.SECONDS else found


def _of(series: Series, record: Record, metric: Quantity) -> Evidence:
    n, reading = record.point.shape.n, metric.read(record)
    if reading is None:
        return Evidence(
            series.label,
            series.computed_by,
            n,
            metric,
            _lacking(record, metric),
            reason=reason_of(record, metric.key) or why(record),
        )
    flags = bearing(record.flags, metric)
    measured = metric.side is not Side.COST and record.measured is not None and not reading.predicted
    state = PointState.COUNTED if not measured else PointState.FLAGGED if flags else PointState.MEASURED
    by, bounds = series.computed_by, (reading.low, reading.high)
    return Evidence(series.label, by, n, metric, state, reading.value, *bounds, flags, unbounded=reading.unbounded)


def _lacking(record: Record, metric: Quantity) -> PointState:
    """Why a quantity is missing: a count that is, was not skipped for being slow to run."""
    state = state_of(record)
    return PointState.ABSENT if state is PointState.UNTIMED and metric.side is Side.COST else state


def state_of(record: Record) -> PointState:
    """Why a record holds no value of a quantity that it might hold."""
    if record.status is Status.OK:
        return PointState.ABSENT
    if record.status is Status.OVER_BUDGET and record.cost is None:  # no gate of memory was passed
        return PointState.UNREACHED
    return WITHOUT.get(record.status.value, PointState.ABSENT)


def bearing(flags: Iterable[str], metric: Quantity) -> tuple[str, ...]:
    """The flags that cast doubt on this quantity, as `attnprof.flags` says of each."""
    asked = DOUBTED.get(metric.unit, Doubt.NONE)
    return tuple(flag for flag in flags if asked & doubt(flag))


def _predicted(series: Series, metric: Quantity, found: dict[int, Evidence]) -> dict[int, Evidence]:
    """The times that were skipped: scaled by executed FLOPs from the longest measured length before them.

    Where there is none, what the sweep forecast for one run of the point.
    """
    work = series.values(FLOPS)
    measured = [n for n, at in found.items() if at.state.valued and n in work]
    made = dict(found)
    for record in series.records:
        n = record.point.shape.n
        if found[n].state is not PointState.UNTIMED:
            continue
        before = max((k for k in measured if k < n), default=None)
        if before is not None and n in work:
            value = (found[before].value or 0.0) * work[n] / work[before]
            how = f"scaled by executed FLOPs from n = {format_length(before)}"
        elif record.forecast is not None and metric is WALL:
            value, how = record.forecast.run_s / record.point.layers, "as the sweep forecast it"
        else:
            continue
        made[n] = Evidence(series.label, series.computed_by, n, metric, PointState.PREDICTED, value, reason=how)
    return made


def worst(points: Iterable[Evidence]) -> PointState:
    """The least sure state among these points."""
    return max((p.state for p in points), key=_SURENESS.__getitem__, default=PointState.ABSENT)


def doubts(points: Sequence[Evidence]) -> tuple[str, ...]:
    """Every flag on these points, each once, in order of appearance."""
    return tuple(dict.fromkeys(flag for p in points for flag in p.flags))
