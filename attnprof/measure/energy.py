"""Joules of one pass: a counter read around a window long enough for it to tick."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from attnprof.device.instruments.clock import Clock, Step
from attnprof.device.instruments.sensors import Sensors

WINDOW_S = 1.0
ROUND_S = 0.1
MOST_ROUNDS = 1000


@dataclass(frozen=True, slots=True)
class Energy:
    """Joules per run of the whole board, idle power included, read over `window_s`; None with the reason."""

    joules: float | None
    reason: str | None
    window_s: float
    runs: int
    short: bool


def energy(
    steps: Sequence[Step],
    clock: Clock,
    sensors: Sensors,
    *,
    run_s: float,
    window_s: float = WINDOW_S,
    most_s: float = math.inf,
    before: Step | None = None,
) -> Energy:
    """Energy per run over at least `window_s` of back-to-back runs that take `run_s` each, or `most_s` if that is less.

    `before` belongs to every run here, since the counter cannot be paused. A window below `window_s` is `short`.
    """
    start = sensors.energy_j()
    if start is None:
        return Energy(None, sensors.reasons.get("energy_j", "no energy counter"), 0.0, 0, short=False)
    whole = [step for step in (before, *steps) if step is not None]
    each_round = whole * max(1, round(ROUND_S / max(run_s, 1e-6)))
    began, rounds = clock.now(), 0
    while rounds < MOST_ROUNDS and (rounds == 0 or clock.now() - began < min(window_s, most_s)):
        clock.laps(each_round)
        rounds += 1
    elapsed = clock.now() - began
    runs = rounds * len(each_round) // len(whole)
    return _difference(start, sensors.energy_j(), sensors, runs, elapsed, short=elapsed < window_s)


def _difference(start: float, end: float | None, sensors: Sensors, runs: int, elapsed: float, *, short: bool) -> Energy:
    if end is None:
        return Energy(None, sensors.reasons.get("energy_j", "no energy counter"), elapsed, runs, short)
    if end < start:
        return Energy(None, "the energy counter went backwards: wrapped, or the driver reloaded", elapsed, runs, short)
    if end == start:
        return Energy(None, f"the energy counter did not tick within {elapsed:.3f} s", elapsed, runs, short)
    return Energy((end - start) / runs, None, elapsed, runs, short)
