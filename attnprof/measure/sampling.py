"""How often a point is timed: warm until steady, then until its interval is tight enough or its budget is spent."""

from __future__ import annotations

import contextlib
import gc
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from attnprof.device.instruments.clock import Clock, Step
from attnprof.interval import FEWEST_SAMPLES, Interval
from attnprof.modality import is_multimodal

FLOOR = 3
TARGET = 0.03
MOST = 60
STEADY = 0.1
MOST_WARM = 5
NOISY = 0.1
SHORT_S = 1e-3


@dataclass(frozen=True, slots=True)
class Samples:
    """Raw timings of one point, none dropped: seconds per step for each sample, in order; warm-up left out."""

    laps: tuple[tuple[float, ...], ...]
    flags: tuple[str, ...]

    def total(self) -> Interval:
        """The interval of the whole pass."""
        return Interval.of(map(sum, self.laps))

    def step(self, index: int) -> Interval:
        """The interval of one step."""
        return Interval.of(lap[index] for lap in self.laps)


def sample(
    steps: Sequence[Step],
    clock: Clock,
    *,
    budget_s: float,
    floor: int = FLOOR,
    target: float = TARGET,
    most: int = MOST,
    before: Step | None = None,
    warmed: bool = False,
) -> Samples:
    """Time `steps` as one pass until the median's 95% interval is within `target` of it, or the budget is spent.

    The budget covers warm-up and whatever `before` does, untimed, ahead of every run; it is never exceeded by more
    than one run. Once there are `floor` samples, no run is started that would end beyond it. Where the first run is so
    long that warm-up would cost the floor, it becomes a sample; `warmed` says that the steps have run before.
    """
    sampler = _Sampler(steps, clock, before)
    with _no_collection():
        steady = sampler.warm(budget_s, floor)
        if sampler.promotes(budget_s, floor):
            sampler.laps.append(sampler.warm_laps.pop())
        while not sampler.done(budget_s, floor, target, most):
            sampler.laps.append(sampler.run())
    cold = not sampler.warm_laps and not warmed
    flags = _flags([sum(lap) for lap in sampler.laps], floor, target, cold=cold, steady=steady or warmed)
    return Samples(tuple(sampler.laps), flags)


class _Sampler:
    def __init__(self, steps: Sequence[Step], clock: Clock, before: Step | None) -> None:
        self.steps, self.clock, self.before = steps, clock, before
        self.start = clock.now()
        self.warm_laps: list[tuple[float, ...]] = []
        self.laps: list[tuple[float, ...]] = []
        self.longest = 0.0

    def spent(self) -> float:
        return self.clock.now() - self.start

    def run(self) -> tuple[float, ...]:
        began = self.clock.now()
        if self.before is not None:
            self.before()
        laps = self.clock.laps(self.steps)
        self.longest = max(self.longest, self.clock.now() - began) if self.laps else self.clock.now() - began
        return laps

    def warm(self, budget_s: float, floor: int) -> bool:
        while len(self.warm_laps) < MOST_WARM:
            self.warm_laps.append(self.run())
            last, total = (sum(lap) for lap in ((0.0,), *self.warm_laps)[-2:])
            if abs(last - total) <= STEADY * last:
                return True
            if self.spent() + (floor + 1) * self.longest > budget_s:
                return False
        return False

    def promotes(self, budget_s: float, floor: int) -> bool:
        only = len(self.warm_laps) == 1 and (floor + 1) * self.longest > budget_s
        return only or self.spent() >= budget_s

    def done(self, budget_s: float, floor: int, target: float, most: int) -> bool:
        if self.spent() >= budget_s:
            return True
        if len(self.laps) < floor:
            return False
        if self.spent() + self.longest > budget_s or len(self.laps) >= most:
            return True
        return len(self.laps) >= FEWEST_SAMPLES and Interval.of(map(sum, self.laps)).half_width <= target


def _flags(totals: Sequence[float], floor: int, target: float, *, cold: bool, steady: bool) -> tuple[str, ...]:
    spread = statistics.stdev(totals) if len(totals) > 1 else 0.0
    raised = {
        "cold": cold,
        "unsteady_warmup": not steady and not cold,
        "cut_short": len(totals) < floor,
        "few_samples": len(totals) < FEWEST_SAMPLES,
        "wide_interval": Interval.of(totals).half_width > target,
        "noisy": spread >= NOISY * statistics.fmean(totals) and spread > 0,
        "short": min(totals) < SHORT_S,
        "multimodal": is_multimodal([totals]),
    }
    return tuple(flag for flag, is_up in raised.items() if is_up)


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
