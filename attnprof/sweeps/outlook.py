"""What to expect of the next point from what the last ones took: time and memory, before anything is run."""

from __future__ import annotations

from dataclasses import dataclass, field

from attnprof.records import Cost, Measured, Point
from attnprof.units import format_bytes, format_seconds
from attnprof.words import Pass

SAFE_SHARE = 0.8


@dataclass(frozen=True, slots=True)
class Budget:
    """Seconds a point may sample for (None: no limit), samples that it needs at least, bytes that are free."""

    seconds: float | None = 2.0
    floor: int = 3
    timeout_s: float = 600.0


@dataclass(slots=True)
class Outlook:
    """The memory of one target: for each pass the fastest run of the last point, to extrapolate by executed work.

    Before the first one, the device's measured peak gives a bound: no run is faster.
    """

    peak_flops_per_s: float | None = None
    last: dict[Pass, tuple[int, float]] = field(default_factory=dict)

    def saw(self, point: Point, cost: Cost | None, measured: Measured | None) -> None:
        """Remember what a point took at best: noise only adds."""
        if cost and measured and measured.wall_s and cost.flops_executed:
            self.last[point.pass_] = (cost.flops_executed, min(measured.wall_s.samples or (measured.wall_s.median,)))

    def seconds(self, pass_: Pass, cost: Cost) -> float | None:
        """One run of a point, extrapolated or bounded below by its executed FLOPs; None where nothing is known."""
        if not cost.flops_executed:
            return None
        if pass_ in self.last:
            flops, wall = self.last[pass_]
            return wall * cost.flops_executed / flops
        return cost.flops_executed / self.peak_flops_per_s if self.peak_flops_per_s else None

    def over_budget(self, pass_: Pass, cost: Cost, budget: Budget) -> str | None:
        """Why a point cannot be sampled often enough within its budget; None if it can."""
        one = self.seconds(pass_, cost)
        if budget.seconds is None or one is None or one * budget.floor <= budget.seconds:
            return None
        return (
            f"predicted {format_seconds(one)} a run: {budget.floor} samples exceed the budget of "
            f"{format_seconds(budget.seconds)} a point (--time-budget)"
        )


def resident_bytes(point: Point, cost: Cost) -> int:
    """What must be allocated at once to run a point: parameters, buffers, inputs, and the peak of the pass."""
    width = point.shape.batch * (point.shape.n + point.shape.keys) * point.shape.dim * 8
    return sum(part or 0 for part in (cost.peak_bytes, cost.param_bytes, cost.buffer_bytes)) + width


def out_of_memory(point: Point, cost: Cost, free_bytes: int) -> str | None:
    """Why a point does not fit into the memory that is free, with the bytes; None if it does."""
    need = resident_bytes(point, cost)
    if cost.peak_bytes is None or need <= SAFE_SHARE * free_bytes:
        return None
    return (
        f"needs {need} bytes ({format_bytes(need)}); {free_bytes} bytes ({format_bytes(free_bytes)}) are free, "
        f"of which {SAFE_SHARE:.0%} may be used"
    )
