"""One target on its way through a sweep: its child, what has been learnt of it, and where each of its points stands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from attnprof.records import Cost, Forecast, Measured, Point, Record
from attnprof.sweeps.outlook import Outlook
from attnprof.sweeps.points import PlannedPoint, TargetPoints
from attnprof.sweeps.rounds import flags_of, rounds_of
from attnprof.sweeps.worker import Worker
from attnprof.words import Pass, RecordKind, Status

ORDER = (Pass.FORWARD, Pass.DECODE, Pass.TRAIN)
Start = Callable[[TargetPoints, Path], Worker]


def start(job: TargetPoints, log: Path) -> Worker:
    """The child of a target."""
    return Worker(job.opening(), log)


@dataclass(slots=True)
class Underway:
    """Where one point stands: what its record says so far, and what the next visit needs to know.

    `again`: it is worth another visit. `took_s`: what the last visit took, `lost` that one failed.
    """

    planned: PlannedPoint
    cost: Cost | None = None
    measured: Measured | None = None
    status: Status = Status.OK
    forecast: Forecast | None = None
    limit: float | None = None
    reasons: dict[str, str] = field(default_factory=dict)
    flags: list[str] = field(default_factory=list)
    seen: bool | None = None
    counted: bool = False
    done: bool = False
    lost: bool = False
    took_s: float = 0.0

    @classmethod
    def after(cls, planned: PlannedPoint, record: Record | None) -> Underway:
        """Where a point stands in a run that may hold a record of it."""
        if record is None:
            return cls(planned, flags=list(planned.flags))
        point = record.point
        seen = point.shape.causal if "causal" in planned.point.unknown and "causal" not in point.unknown else None
        return cls(
            planned,
            record.cost,
            record.measured,
            record.status,
            record.forecast,
            record.limit,
            dict(record.reasons),
            list(record.flags),
            seen,
            counted=record.cost is not None,
            done=record.status is not Status.OK,
        )

    @property
    def point(self) -> Point:
        """The point itself."""
        return self.planned.point

    @property
    def rounds(self) -> int:
        """In how many rounds it was measured."""
        return rounds_of(self.measured)

    def renew(self) -> None:
        """Forget what an earlier attempt ended with."""
        self.status, self.limit, self.done = Status.OK, None, False
        self.reasons.pop("measured", None)
        self.reasons.pop("cost", None)

    def ends(self, status: Status, why: str, limit: float | None = None) -> None:
        """This point has a status and a reason; one that was measured in an earlier round keeps that."""
        if self.rounds:
            self.lost = True
            self.flags.append("round_lost")
            self.reasons["round_lost"] = f"{status}: {why}"
            return
        self.status, self.limit, self.done = status, limit, True
        self.reasons["measured" if self.cost is not None else "cost"] = why

    def record(self) -> Record:
        """What the run holds of it from now on."""
        return Record(
            kind=RecordKind.COST,
            key=self.planned.key,
            point=self._labelled(),
            cost=self.cost,
            measured=self.measured,
            status=self.status,
            forecast=self.forecast,
            limit=self.limit,
            reasons=self.reasons,
            flags=flags_of(self.measured, self.flags),
        )

    def _labelled(self) -> Point:
        """The point, its causality that of a probe where nothing of the target's code is bound to the label."""
        point = self.point
        if self.seen is None or "causal" not in point.unknown:
            return point
        unknown = tuple(name for name in point.unknown if name != "causal")
        return replace(point, shape=point.shape.replace(causal=self.seen), unknown=unknown)


@dataclass(slots=True)
class Lane:
    """One target: its child, its points, short first, and what the gate has passed or found."""

    job: TargetPoints
    worker: Worker
    points: list[Underway]
    outlook: Outlook = field(default_factory=Outlook)
    passed: set[str] = field(default_factory=set)
    faults: dict[str, str] = field(default_factory=dict)

    @property
    def first(self) -> list[Underway]:
        """The points at the shortest length, of the pass that is run first."""
        shortest = min((standing.point.shape.n, ORDER.index(standing.point.pass_)) for standing in self.points)
        return [s for s in self.points if (s.point.shape.n, ORDER.index(s.point.pass_)) == shortest]
