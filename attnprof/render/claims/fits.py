"""How long a sequence fits the memory of the device: only what is about memory says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from attnprof.quantities import PEAK
from attnprof.records import Record
from attnprof.render.claims.evidence import PointState, evidence, state_of
from attnprof.render.claims.fact import Claim
from attnprof.render.series import Group, Series
from attnprof.words import Status

SAYS_NOTHING = (PointState.UNREACHED, PointState.LATE, PointState.KILLED, PointState.FAILED, PointState.UNSUPPORTED)


@dataclass(frozen=True, slots=True)
class LongestFit:
    """`fits`: the longest n known to fit, by being `run` or `counted` (None: no length is known to). `n` does not."""

    series: Series
    fits: int | None
    how: Literal["run", "counted"]
    n: int
    need: int | None
    tried: bool


def fits(groups: Sequence[Group]) -> list[Claim]:
    """For each group in which something does not fit: how far each scheme comes, and how many fit throughout."""
    found = []
    for group in groups:
        stopped = [fit for s in group.series if (fit := longest(s)) is not None]
        if stopped:
            points = tuple(p for fit in stopped for p in evidence(fit.series, PEAK).values() if p.n == fit.n)
            rest = len(group.series) - len(stopped)
            facts = {"stopped": stopped, "rest": rest, "longest": max(group.lengths)}
            found.append(Claim("fits", facts, points, group.conditions, (max(group.lengths),)))
    return found


def longest(series: Series) -> LongestFit | None:
    """The longest n that fits before the first that does not; None where every length fits.

    A point that was counted and skipped for time passed the gate of memory before: it fits. One whose turn did not
    come, that failed, was killed or ran late says nothing of memory.
    """
    first = next((r for r in series.records if state_of(r) is PointState.MEMORY), None)
    if first is None:
        return None
    n = first.point.shape.n
    fitting = [r for r in series.records if r.point.shape.n < n and _fits(r)]
    last = fitting[-1] if fitting else None
    need = None if first.cost is None else first.cost.peak_bytes
    ran = last is not None and last.measured is not None
    return LongestFit(
        series,
        None if last is None else last.point.shape.n,
        "run" if ran else "counted",
        n,
        need,
        first.status is Status.OOM,
    )


def _fits(record: Record) -> bool:
    return record.status is Status.OK or (
        state_of(record) not in SAYS_NOTHING and state_of(record) is not PointState.MEMORY
    )
