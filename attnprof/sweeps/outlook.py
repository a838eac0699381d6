"""What a run may spend, and what to expect of the next point from what the last ones took, before it is run."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from attnprof.interval import Interval
from attnprof.records import Cost, Forecast, Measured, Point
from attnprof.stats import ROUNDS
from attnprof.units import format_bytes, format_seconds
from attnprof.words import Pass

SAFE_SHARE = 0.8
LONGEST_SHARE = 0.1  # of the whole time, that a single run may take: else one point is dearer than many
RUNS = 6  # of a first visit: two for the gate, one each to set up, for the memory, for a sample and for its check
MOST_ROUNDS = 10
SAMPLED_SHARE = 0.4  # of the whole time, that samples take; the rest goes into building, gates and checks
LEAST_VISIT_S, MOST_VISIT_S = 0.05, 1.0
RESTLESS = 1.3  # the factor that two runs of one point may lie apart, from process to process
OTHER_PASS = 3.0  # the factor by which the work of another pass may be faster or slower
OVERHEAD_S = 1e-3  # of a run, below which it may be calls that take the time, which do not grow
FLATTER, STEEPER = 0.6, 1.2  # exponents of executed work between which a time is expected to grow


@dataclass(frozen=True, slots=True)
class Budget:
    """What a run may spend. `total_s`: seconds of the whole (None: no end). `visit_s`: seconds that a point is sampled
    for in a round (None: what the whole allows). `timeout_s`: seconds that any answer of a child may take."""

    total_s: float | None = None
    visit_s: float | None = None
    timeout_s: float = 600.0
    rounds: int = MOST_ROUNDS

    def sampling_s(self, points: int) -> float:
        """Seconds to sample each of so many points for, in one round."""
        if self.visit_s is not None:
            return self.visit_s
        if self.total_s is None:
            return MOST_VISIT_S
        share = SAMPLED_SHARE * self.total_s / (ROUNDS * max(points, 1))
        return min(MOST_VISIT_S, max(LEAST_VISIT_S, share))

    @property
    def longest_s(self) -> float:
        """Seconds that a single run may take."""
        return math.inf if self.total_s is None else LONGEST_SHARE * self.total_s


@dataclass(slots=True)
class Outlook:
    """The memory of one target: for each pass what the last point took, to extrapolate by executed work."""

    last: dict[Pass, tuple[int, Interval]] = field(default_factory=dict)

    def saw(self, point: Point, cost: Cost | None, measured: Measured | None) -> None:
        """Remember what a point took."""
        if cost and measured and measured.wall_s and cost.flops_executed:
            self.last[point.pass_] = (cost.flops_executed, measured.wall_s)

    def forecast(self, pass_: Pass, cost: Cost | None) -> Forecast | None:
        """One run of a point, extrapolated from the last of its pass that was measured, or of another; None without."""
        if cost is None or not cost.flops_executed or not self.last:
            return None
        apart = RESTLESS if pass_ in self.last else OTHER_PASS
        flops, wall = self.last[pass_] if pass_ in self.last else next(iter(self.last.values()))
        grown = cost.flops_executed / flops
        flatter = 0.0 if wall.median < OVERHEAD_S else FLATTER
        bounds = (grown**flatter, grown**STEEPER)
        middle = wall.median * grown
        low, high = wall.low * min(bounds) / apart, wall.high * max(bounds) * apart
        return Forecast(run_s=middle, low_s=min(low, middle), high_s=max(high, middle), least_s=RUNS * middle)


def too_long(forecast: Forecast | None, budget: Budget) -> str | None:
    """Why a point is not run at all: a single run would take more than its share of the whole; None where it is run."""
    if forecast is None or forecast.run_s <= budget.longest_s or budget.total_s is None:
        return None
    whole, least = format_seconds(budget.total_s), format_seconds(forecast.least_s)
    return (
        f"time: predicted {spread(forecast)} a run, more than {LONGEST_SHARE:.0%} of the {whole} that the whole may "
        f"take; measuring it takes {least} at least (--time {math.ceil(forecast.run_s / LONGEST_SHARE)})"
    )


def not_reached(forecast: Forecast | None, budget: Budget) -> str:
    """Why a point was not run: the time of the whole was over before its turn."""
    whole = "" if budget.total_s is None else f" of {format_seconds(budget.total_s)} (--time)"
    least = "" if forecast is None else f"; it takes {format_seconds(forecast.least_s)} at least"
    return f"time: that of the whole{whole} was over before its turn{least}; the same command goes on"


def spread(forecast: Forecast) -> str:
    """A forecast in words."""
    return f"{format_seconds(forecast.run_s)} ({format_seconds(forecast.low_s)} to {format_seconds(forecast.high_s)})"


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
