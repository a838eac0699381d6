"""One visit of a point: it is counted, held against what is free and what there is time for, gated, and measured."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from attnprof.errors import AttnprofError
from attnprof.records import Cost, JsonDict, Measured, revive
from attnprof.sweeps.lane import Lane, Underway
from attnprof.sweeps.outlook import RUNS, Budget, out_of_memory, too_long
from attnprof.sweeps.rounds import FLOOR, merged
from attnprof.sweeps.worker import Died
from attnprof.usercode import causality_seen
from attnprof.words import DType, Status

BELOW_FLOOR = (
    0.1  # of what the fastest peak seen allows: it is a measurement too, and neighbours may slow it severalfold
)
CLOCK_SLACK, CLOCK_SLACK_S = 1.1, 0.5


@dataclass(slots=True)
class Roof:
    """The fastest matrix product that the device was seen to do, and how to measure it once more."""

    flops_per_s: float | None = None
    dtype: str | None = None
    again: Callable[[], float | None] = lambda: None

    def floor_s(self, standing: Underway) -> float | None:
        """Seconds that no run of a point can be faster than, with a margin; None where that is not known."""
        cost, shape = standing.cost, standing.point.shape
        if self.flops_per_s is None or shape.dtype != self.dtype or not cost or not cost.flops_executed:
            return None
        return BELOW_FLOOR * cost.flops_executed / self.flops_per_s

    def renew(self) -> None:
        """Measure the peak again, since the machine may have been busy before."""
        found = self.again()
        if found is not None:
            self.flops_per_s = max(found, self.flops_per_s or 0.0)


@dataclass(slots=True)
class Visitor:
    """Visits points, one after the other, on behalf of a sweep."""

    budget: Budget
    sampling_s: float
    roof: Roof = field(default_factory=Roof)
    beside: Callable[[], bool] = lambda: False
    clock: Callable[[], float] = time.monotonic

    def count(self, lane: Lane, standing: Underway) -> bool:
        """Whether the point's cost is known, by counting it if it was not."""
        if standing.counted:
            return True
        answer = self._ask(lane, standing, "count")
        if answer is None:
            return False
        standing.cost, standing.counted = revive(Cost, answer["cost"]), True
        standing.reasons |= answer["reasons"]
        standing.flags += answer["flags"]
        standing.seen = causality_seen(answer["flags"])
        return True

    def measure(self, lane: Lane, standing: Underway, *, first: bool = False) -> None:
        """One round of a point whose cost is known; `first` points always run."""
        began = self.clock()
        if self._foreseen(lane, standing, first=first) and self._gated(lane, standing):
            self._measured(lane, standing)
        lane.outlook.saw(standing.point, standing.cost, standing.measured)
        standing.took_s = self.clock() - began

    def foresee(self, lane: Lane, standing: Underway) -> None:
        """Predict what a point takes, as long as it has not run."""
        if not standing.rounds:
            standing.forecast = lane.outlook.forecast(standing.point.pass_, standing.cost) or standing.forecast

    def _foreseen(self, lane: Lane, standing: Underway, *, first: bool) -> bool:
        """Whether the point fits into memory and time; its status says which it does not."""
        self.foresee(lane, standing)
        if standing.rounds:
            return True
        assert standing.cost is not None
        answer = self._ask(lane, standing, "free", device=standing.point.device)
        if answer is None:
            return False
        too_large = out_of_memory(standing.point, standing.cost, answer["bytes"])
        slow = None if first else too_long(standing.forecast, self.budget)
        if too_large:
            standing.ends(Status.PREDICTED_OOM, too_large, answer["bytes"])
        elif slow:
            standing.ends(Status.OVER_BUDGET, slow, self.budget.total_s)
        return not (too_large or slow)

    def _gated(self, lane: Lane, standing: Underway) -> bool:
        """Whether the target computes what its reference does; once it was found not to, no form of it is timed."""
        if standing.rounds:
            return True
        shape = standing.point.shape
        form = f"{shape.level} {shape.causal} {shape.dtype} {shape.groups}"
        whole = f"{form} {standing.point.pass_}"
        if not lane.faults.get(form):
            answer = self._ask(lane, standing, "gate", passed=whole in lane.passed)
            if answer is None:
                return False
            lane.faults[form] = "; ".join(answer["reasons"].values())
            lane.passed.add(whole)
        why = lane.faults[form]
        if why:
            standing.ends(Status.FAILED, f"it does not compute what its reference does: {why}")
        return not why

    def _measured(self, lane: Lane, standing: Underway) -> None:
        run_s = standing.forecast.run_s if standing.forecast else 0.0
        answer = self._ask(
            lane,
            standing,
            "measure",
            budget_s=self.sampling_s,
            memory=standing.measured is None,
            floor=1 if RUNS * run_s > self.sampling_s else FLOOR,
        )
        if answer is None:
            return
        found = revive(Measured, answer["measured"])
        why = self._incredible(standing, found, answer.get("here_s"), answer.get("took_s"))
        if why:
            standing.ends(Status.FAILED, why)
            return
        standing.measured = merged(standing.measured, found)
        standing.reasons |= {k: v for k, v in answer["reasons"].items() if k not in ("peak_bytes",)}
        standing.flags += answer["flags"]
        if self.beside():
            standing.flags.append("other_sweep")

    def _incredible(self, standing: Underway, found: Measured, here_s: float | None, there_s: float | None) -> str:
        """Why a measurement cannot be: faster than the device, or by a clock that is not the parent's."""
        if (
            here_s is not None
            and there_s is not None
            and abs(here_s - there_s) > CLOCK_SLACK_S + (CLOCK_SLACK - 1) * here_s
        ):
            return f"its process took {there_s:.2f} s by its own clock, {here_s:.2f} s by the parent's"
        floor = self.roof.floor_s(standing)
        fastest = min(found.wall_s.samples) if found.wall_s and found.wall_s.samples else None
        if floor is None or fastest is None or fastest >= floor:
            return ""
        self.roof.renew()
        floor = self.roof.floor_s(standing) or 0.0
        if fastest >= floor:
            return ""
        return (
            f"a run of {fastest:.3g} s is below the roofline: its FLOPs take {floor / BELOW_FLOOR:.3g} s at the "
            f"fastest matrix product that the device was seen to do"
        )

    def _ask(self, lane: Lane, standing: Underway, what: str, **more: object) -> JsonDict | None:
        """The child's answer, or None with the status and the reason set."""
        request = {"do": what, "point": standing.point.to_json(), **more}
        try:
            answer = lane.worker.ask(request, self.budget.timeout_s)
        except Died as death:
            status, limit = Status.FAILED, None
            if death.timed_out:
                status, limit = Status.TIMEOUT, self.budget.timeout_s
            elif death.oom:
                status, limit = Status.OOM, _need(standing)
            elif death.signal == 9:
                status = Status.KILLED
            standing.ends(status, f"{what}: {death}", limit)
            return None
        if answer["ok"]:
            return answer
        try:
            status = Status(answer["kind"])
        except AttnprofError:  # an input that the target cannot use at this point
            status = Status.FAILED
        why = (
            f"{answer['message']} ({answer['hint']})"
            if status is Status.FAILED and answer.get("hint")
            else answer["message"]
        )
        standing.ends(status, why, _need(standing) if status is Status.OOM else None)
        return None


def _need(standing: Underway) -> float | None:
    """The peak that was predicted for a point that ran out of memory: more than that must be free to try it again."""
    return None if standing.cost is None or standing.cost.peak_bytes is None else float(standing.cost.peak_bytes)


def dtype_of(calibration: JsonDict | None) -> str | None:
    """The precision that a peak was measured in."""
    return DType(calibration["dtype"]) if calibration and calibration.get("dtype") else None
