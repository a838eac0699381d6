from __future__ import annotations

from math import comb

import numpy as np
import pytest

from attnprof.graph.confidence import mean_intervals, median_interval, proportion


@pytest.mark.parametrize(
    ("hits", "of", "low", "high"),
    [
        (30, 30, 0.025 ** (1 / 30), 1.0),  # all of them: the p at which that happens once in 40 times
        (100, 100, 0.025**0.01, 1.0),
        (0, 100, 0.0, 1 - 0.025**0.01),
        (50, 100, 0.39832, 0.60168),  # tables of Clopper and Pearson's limits
        (1, 10, 0.00253, 0.44502),
    ],
)
def test_limits_of_known_counts(hits: int, of: int, low: float, high: float) -> None:
    assert proportion(hits, of) == pytest.approx((low, high), abs=1e-5)


@pytest.mark.parametrize("trials", [1, 6, 12, 100])
def test_a_proportion_is_covered_for_every_p(trials: int) -> None:
    """By enumeration, not by chance: the binomial weight of the counts whose interval holds p."""
    limits = [proportion(hits, trials) for hits in range(trials + 1)]
    for p in (0.0, 0.0005, 0.0018, 0.01, 0.03, 0.2, 0.5, 0.77, 0.97, 0.999, 1.0):
        weights = [comb(trials, k) * p**k * (1 - p) ** (trials - k) for k in range(trials + 1)]
        assert sum(w for w, (low, high) in zip(weights, limits, strict=True) if low <= p <= high) >= 0.95 - 1e-12


@pytest.mark.parametrize("count", [6, 8, 9, 12, 20, 100])
def test_a_median_is_covered_whatever_the_distribution(count: int) -> None:
    """Of draws with median 0 the number below it is Binomial(count, 1/2): the interval holds 0 unless few lie on a
    side, so that its coverage follows from the ranks of its ends."""
    low, high = median_interval([float(k) for k in range(count)]) or (None, None)
    assert low is not None
    assert high is not None
    below = int(low)
    assert high == count - 1 - low
    missed = 2 * sum(comb(count, k) for k in range(below + 1)) / 2**count
    assert missed <= 0.05
    assert missed + 2 * comb(count, below + 1) / 2**count > 0.05, "no shorter one would do"


def test_a_median_of_a_few_draws_has_no_interval() -> None:
    assert median_interval([1.0, 2.0, 3.0, 4.0, 5.0]) is None


def test_draws_without_a_value_keep_their_place() -> None:
    assert median_interval([3.0, float("inf"), 2.0, 4.0, 5.0, float("inf")]) == (2.0, float("inf"))


@pytest.mark.parametrize("rare", [1 / 300, 1 / 60, 0.3])
def test_the_mean_of_rare_large_values_is_covered(rare: float) -> None:
    """What a bootstrap of the sample misses: most samples of 100 hold none of the values that carry the mean."""
    rng = np.random.default_rng(3)
    hits, rounds = 0, 100
    for _ in range(rounds):
        values = np.where(rng.random(100) < rare, 0.9, 0.01)[:, None]
        low, high = mean_intervals(values, rng)
        hits += bool(low[0] <= 0.01 + 0.89 * rare <= high[0])
    assert hits >= 0.93 * rounds


def test_equal_samples_do_not_give_an_interval_of_no_width() -> None:
    low, high = mean_intervals(np.full((64, 2), 0.5), np.random.default_rng(0))
    unseen = 1 - 0.025 ** (1 / 64)  # a share of the population that 64 draws miss once in 40 times
    assert high == pytest.approx(0.5 + 0.5 * unseen, abs=0.006)
    assert low == pytest.approx(0.5 - 0.5 * unseen, abs=0.006)
