"""What an interval over rounds is worth: a fake clock of a machine with process effects, drift and bursts."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest

from attnprof.measure.sampling import sample
from attnprof.stats import noise, over_rounds
from tests.fakes.clock import ScriptedClock

RUNS = 700
WAYS = {
    "quiet": (0.01, 0.0, 0.0),
    "process effects": (0.06, 0.0, 0.0),
    "process effects and drift": (0.05, 0.05, 0.0),
    "process effects, drift and bursts": (0.05, 0.05, 0.15),
}


def machine(draw: np.random.Generator, when: float, process: float, drift: float, bursts: float) -> Iterator[float]:
    """Seconds of one run after the other in one process that starts at `when` (0 to 1) of a sweep.

    The process has its own speed, the machine gets slower by `drift` over the sweep, and in bursts of some ten runs, at
    a share `bursts` of the time, everything takes half as long again.
    """
    level, left = math.exp(draw.normal(0, process)) * (1 + drift * when), 0
    while True:
        if left == 0 and draw.random() < bursts / 10:
            left = 10
        left = max(0, left - 1)
        yield level * (1.5 if left else 1.0) * (1 + abs(draw.normal(0, 0.03)))


def round_of(draw: np.random.Generator, when: float, way: tuple[float, float, float]) -> tuple[float, ...]:
    """What one process samples, by the sampler that is used."""
    clock = ScriptedClock(machine(draw, when, *way))
    return sample([lambda: None], clock, budget_s=1e9, most=8, warmed=True).total().samples


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("rounds", [3, 5])
def test_the_interval_covers_what_another_process_takes_as_often_as_it_says(
    way: tuple[float, float, float], rounds: int
) -> None:
    """A point is visited at a random moment of each round; the truth is what half of all processes exceed."""
    draw = np.random.default_rng(rounds)
    truth = float(np.median([np.median(round_of(draw, draw.random(), way)) for _ in range(2 * RUNS)]))
    hits = 0
    for _ in range(RUNS):
        found = over_rounds(round_of(draw, draw.random(), way) for _ in range(rounds))
        hits += found.low <= truth <= found.high
    assert 0.93 <= hits / RUNS <= 0.97


def test_the_interval_within_one_process_covers_far_less_than_it_seems_to() -> None:
    """Why there are rounds: the same machine, all samples of a point in one process."""
    way, draw = WAYS["process effects and drift"], np.random.default_rng(0)
    truth = float(np.median([np.median(round_of(draw, draw.random(), way)) for _ in range(RUNS)]))
    found = [over_rounds([round_of(draw, draw.random(), way)]) for _ in range(RUNS)]
    assert sum(one.low <= truth <= one.high for one in found) / RUNS < 0.5


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_one_sample_settled_by_the_noise_of_a_run_covers_as_often_as_it_says(way: tuple[float, float, float]) -> None:
    """Five points of a run have three rounds, one has a single sample: what the five show bounds the one."""
    draw, runs = np.random.default_rng(1), 150
    truth = float(np.median([np.median(round_of(draw, draw.random(), way)) for _ in range(RUNS)]))
    hits = 0
    for _ in range(runs):
        heard = noise(over_rounds(round_of(draw, draw.random(), way) for _ in range(3)) for _ in range(5))
        found = heard.settled(over_rounds([round_of(draw, draw.random(), way)[:1]]))
        hits += found.bounded and found.low <= truth <= found.high
    assert hits / runs >= 0.91  # 95% less twice the error of 150 draws
