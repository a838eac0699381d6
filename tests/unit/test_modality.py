"""Hartigan's dip against its definition, and how often the flag is raised of one group and of two."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.optimize import linprog

from attnprof.modality import dip, is_multimodal
from attnprof.records import Measured
from attnprof.stats import over_rounds
from attnprof.sweeps.rounds import flags_of


def nearest_unimodal(samples: np.ndarray) -> float:
    """The least distance of an empirical distribution function from a unimodal one, by a linear program for each mode.

    The function is convex up to its mode, a sample, where it may jump, and concave from there on.
    """
    x, n = np.sort(samples), len(samples)
    return min(_distance(x, np.arange(n) / n, np.arange(1, n + 1) / n, mode) for mode in range(n))


def _distance(x: np.ndarray, below: np.ndarray, above: np.ndarray, mode: int) -> float:
    """Unknown: its values left of the jump up to the mode, right of it from there on, and the distance."""
    places = [*range(mode + 1), *range(mode, len(x))]  # the mode twice: before and after its jump
    rows: list[tuple[dict[int, float], float]] = []
    for k, i in enumerate(places):
        if k != mode + 1:  # the function is near what is below a sample, and, but before its jump, what is above
            rows += [({k: 1, -1: -1}, below[i]), ({k: -1, -1: -1}, -below[i])]
        if k != mode:
            rows += [({k: 1, -1: -1}, above[i]), ({k: -1, -1: -1}, -above[i])]
    rows += [({k: 1, k + 1: -1}, 0.0) for k in range(len(places) - 1)]  # it never falls
    slopes = [(k, 1 / (x[places[k + 1]] - x[places[k]])) for k in range(len(places) - 1) if k != mode]
    for (a, p), (b, q) in itertools.pairwise(slopes):
        if b == a + 1:
            sign = 1 if b < mode else -1
            rows.append(({a: -sign * p, a + 1: sign * (p + q), b + 1: -sign * q}, 0.0))
    matrix = np.zeros((len(rows), len(places) + 1))
    for at, (row, _) in enumerate(rows):
        for k, value in row.items():
            matrix[at, k] += value
    goal = np.zeros(len(places) + 1)
    goal[-1] = 1
    return float(linprog(goal, matrix, [bound for _, bound in rows], bounds=[(0, None)] * len(goal)).fun)


@pytest.mark.parametrize("seed", range(12))
def test_the_dip_is_the_distance_from_the_nearest_unimodal_distribution(seed: int) -> None:
    draw = np.random.default_rng(seed)
    samples = np.concatenate([draw.normal(0, 1, 3 + seed % 5), draw.normal(seed % 7, 0.3, 4 + seed % 3)])
    assert dip(samples) == pytest.approx(nearest_unimodal(samples), abs=1e-9)


def test_the_dip_knows_ties_scale_and_order() -> None:
    assert dip([1.0] * 9) == pytest.approx(1 / 18)
    assert dip([1.0] * 8 + [2.0] * 8) == pytest.approx(0.25, abs=1 / 32)
    assert dip([0.01] * 8 + [0.011, 0.05]) < 0.1  # one group, and two that lie apart
    samples = np.random.default_rng(0).random(30)
    assert dip(samples) == pytest.approx(dip(-7 * samples[::-1] + 3))


ONE_GROUP = {
    "uniform": lambda draw, count: 1 + 0.5 * draw.random(count),
    "normal": lambda draw, count: draw.normal(1, 0.1, count),
    "skewed": lambda draw, count: 1 + draw.exponential(0.2, count),
    "drifting": lambda draw, count: np.linspace(1, 1.3, count) + draw.normal(0, 0.02, count),
    "ticking": lambda draw, count: 1 + 0.001 * draw.integers(0, 3, count),
}


@pytest.mark.parametrize("kind", ONE_GROUP)
@pytest.mark.parametrize("count", [12, 60])
def test_one_group_is_called_several_in_less_than_one_point_of_a_hundred(kind: str, count: int) -> None:
    """Points of ten rounds, the most that are made."""
    draw, points = np.random.default_rng(count), 40
    raised = sum(is_multimodal([ONE_GROUP[kind](draw, count) for _ in range(10)]) for _ in range(points))
    assert raised <= 2


@pytest.mark.slow
@pytest.mark.parametrize("kind", ONE_GROUP)
@pytest.mark.parametrize("count", [12, 20, 60])
def test_the_share_of_false_flags(kind: str, count: int) -> None:
    draw, points = np.random.default_rng(count), 1500
    raised = sum(is_multimodal([ONE_GROUP[kind](draw, count) for _ in range(10)]) for _ in range(points))
    assert raised / points <= 0.01


def test_two_groups_are_flagged_whatever_the_visit_said() -> None:
    draw = np.random.default_rng(0)
    samples = [tuple(draw.normal(1, 0.02, 30)) + tuple(draw.normal(1.4, 0.02, 15)) for _ in range(3)]
    for rounds, expected in ((samples, True), ([tuple(draw.normal(1, 0.02, 45)) for _ in range(3)], False)):
        found = flags_of(Measured(wall_s=over_rounds(rounds)), () if expected else ("multimodal",))
        assert ("multimodal" in found) is expected
