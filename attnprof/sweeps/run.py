"""The parent's loop: each point is counted, gated, predicted and measured in its target's child, then recorded.

The parent never imports torch and is the only writer. Targets take turns length by length, so that heat and noise are
shared among them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from attnprof.device.cpu import free_bytes
from attnprof.errors import AttnprofError
from attnprof.records import Cost, Measured, Point, Record, revive
from attnprof.store import RunFolder
from attnprof.sweeps.outlook import Budget, Outlook, out_of_memory
from attnprof.sweeps.points import PlannedPoint, TargetPoints
from attnprof.sweeps.worker import Died, Worker
from attnprof.usercode import causality_seen
from attnprof.words import DeviceName, RecordKind, Status

ABREAST = 8
COUNT_TIMEOUT_S = 300.0
Watch = Callable[[Record], None]


@dataclass(slots=True)
class Lane:
    """One target on its way: its child, and what has been learnt of it."""

    job: TargetPoints
    worker: Worker
    outlook: Outlook = field(default_factory=Outlook)
    faults: dict[str, str] = field(default_factory=dict)


def sweep(
    jobs: Sequence[TargetPoints],
    run: RunFolder,
    budget: Budget,
    watch: Watch,
    *,
    static: bool = False,
    peak_flops_per_s: float | None = None,
    abreast: int = 1,
    start: Callable[[TargetPoints, Path], Worker] = Worker,
    free_bytes: Callable[[], int] = free_bytes,
) -> None:
    """Do every point that the run has no finished record of, and append its record.

    `static` leaves measuring out, and then `abreast` children may work at once; `peak_flops_per_s` is what the device
    reaches at best. A child that dies costs its point a status, never another point its record. On KeyboardInterrupt
    the children are ended; what is recorded stays.
    """
    done = run.keys()
    todo = [job for job in jobs if any(planned.key not in done for planned in job.points)]
    for at in range(0, len(todo), ABREAST):
        lanes = [
            Lane(job, start(job, run.path / "children.log"), Outlook(peak_flops_per_s))
            for job in todo[at : at + ABREAST]
        ]
        attempts = [Attempt(lane, planned, budget, static, free_bytes) for lane, planned in _turns(lanes, done)]
        try:
            for record in _records(attempts, abreast if static else 1):
                run.append(record)
                watch(record)
        finally:
            for lane in lanes:
                lane.worker.close()


def _records(attempts: Sequence[Attempt], abreast: int) -> Iterator[Record]:
    """The records of the attempts: one after the other, or a thread a lane where nothing is timed."""
    if abreast == 1:
        yield from (attempt.record() for attempt in attempts)
        return
    from concurrent.futures import ThreadPoolExecutor, as_completed

    lanes: dict[int, list[Attempt]] = {}
    for attempt in attempts:
        lanes.setdefault(id(attempt.lane), []).append(attempt)
    with ThreadPoolExecutor(abreast) as pool:
        futures = [pool.submit(lambda own: [a.record() for a in own], own) for own in lanes.values()]
        for future in as_completed(futures):
            yield from future.result()


def _turns(lanes: Sequence[Lane], done: set[str]) -> Iterator[tuple[Lane, PlannedPoint]]:
    """Points length by length, the targets taking turns."""
    lengths = sorted({planned.point.shape.n for lane in lanes for planned in lane.job.points})
    for n in lengths:
        for lane in lanes:
            for planned in lane.job.points:
                if planned.point.shape.n == n and planned.key not in done:
                    yield lane, planned


@dataclass(slots=True)
class Attempt:
    """One point being done: gathers what becomes its record."""

    lane: Lane
    planned: PlannedPoint
    budget: Budget
    static: bool
    free_bytes: Callable[[], int]
    status: Status = Status.OK
    cost: Cost | None = None
    measured: Measured | None = None
    reasons: dict[str, str] = field(default_factory=dict)
    flags: list[str] = field(default_factory=list)
    seen: bool | None = None

    def record(self) -> Record:
        """Count, then measure where that makes sense."""
        self.flags += self.planned.flags
        if self._count() and not self.static and self._foreseen() and self._gated():
            self._measure()
        self.lane.outlook.saw(self.point, self.cost, self.measured)
        return Record(
            kind=RecordKind.COST,
            key=self.planned.key,
            point=self.labelled,
            cost=self.cost,
            measured=self.measured,
            status=self.status,
            reasons=self.reasons,
            flags=tuple(dict.fromkeys(self.flags)),
        )

    @property
    def point(self) -> Point:
        """The point itself."""
        return self.planned.point

    @property
    def labelled(self) -> Point:
        """The point, its causality that of a probe where nothing of the target's code is bound to the label."""
        point = self.point
        if self.seen is None or "causal" not in point.unknown:
            return point
        unknown = tuple(name for name in point.unknown if name != "causal")
        return replace(point, shape=point.shape.replace(causal=self.seen), unknown=unknown)

    def _count(self) -> bool:
        answer = self._ask("count", COUNT_TIMEOUT_S)
        if answer is None:
            return False
        self.cost = revive(Cost, answer["cost"])
        self.reasons |= answer["reasons"]
        self.flags += answer["flags"]
        self.seen = causality_seen(answer["flags"])
        return True

    def _foreseen(self) -> bool:
        """Whether the point fits into memory and time; its status says which it does not."""
        assert self.cost is not None
        free = self._free_bytes()
        too_large = out_of_memory(self.point, self.cost, free) if free is not None else None
        too_slow = self.lane.outlook.over_budget(self.point.pass_, self.cost, self.budget)
        if too_large:
            self._not_measured(Status.PREDICTED_OOM, too_large)
        elif too_slow:
            self._not_measured(Status.OVER_BUDGET, too_slow)
        return not (too_large or too_slow)

    def _free_bytes(self) -> int | None:
        """What is free where the point would run; a device is asked through the child, which alone may touch it."""
        if self.point.device is DeviceName.CPU:
            return self.free_bytes()
        answer = self._ask("free", COUNT_TIMEOUT_S, device=self.point.device)
        return None if answer is None else answer["bytes"]

    def _gated(self) -> bool:
        """Whether the target computes what its reference does; once it was found not to, no form of it is timed."""
        shape = self.point.shape
        form = f"{shape.level} {shape.causal} {shape.dtype} {shape.groups}"
        if not self.lane.faults.get(form):
            answer = self._ask("gate", COUNT_TIMEOUT_S)
            if answer is None:
                return False
            self.lane.faults[form] = "; ".join(answer["reasons"].values())
        why = self.lane.faults[form]
        if why:
            self._not_measured(Status.FAILED, f"it does not compute what its reference does: {why}")
        return not why

    def _measure(self) -> None:
        answer = self._ask("measure", self.budget.timeout_s, budget_s=self.budget.seconds)
        if answer is not None:
            self.measured = revive(Measured, answer["measured"])
            self.reasons |= answer["reasons"]
            self.flags += answer["flags"]

    def _ask(self, what: str, timeout_s: float, **more: Any) -> dict[str, Any] | None:
        """The child's answer, or None with the status and the reason set."""
        request = {"do": what, "point": self.point.to_json(), **more}
        try:
            answer = self.lane.worker.ask(request, timeout_s)
        except Died as death:
            status = Status.TIMEOUT if death.timed_out else Status.OOM if death.signal == 9 else Status.FAILED
            self._not_measured(status, f"{what}: {death}")
            return None
        if answer["ok"]:
            return answer
        if answer["kind"] == "input":
            raise AttnprofError(answer["message"], hint=answer["hint"])
        self._not_measured(answer["kind"], answer["message"])
        return None

    def _not_measured(self, status: Status, why: str) -> None:
        self.status = status
        self.reasons["measured" if self.cost is not None else "cost"] = why
