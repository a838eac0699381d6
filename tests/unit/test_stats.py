import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from attnprof import stats
from attnprof.errors import AttnprofError
from attnprof.interval import Interval
from attnprof.stats import exponent, interval, local_exponents, noise, over_rounds

NS = (1024, 2048, 4096, 8192, 16384)


@pytest.mark.parametrize(
    ("count", "rank"), [(1, 1), (2, 1), (3, 1), (5, 1), (6, 1), (8, 1), (9, 2), (12, 3), (15, 4), (30, 10), (100, 40)]
)
def test_the_interval_uses_the_order_statistics_of_the_binomial_table(count: int, rank: int) -> None:
    found = interval(range(1, count + 1))
    assert (found.low, found.high) == (rank, count + 1 - rank)


def coverage(count: int) -> float:
    """The probability with which the interval of so many independent samples covers the median."""
    rank = interval(range(1, count + 1)).low
    return float(1 - 2 * binom.cdf(rank - 1, count, 0.5))


@pytest.mark.parametrize(("count", "expected"), [(1, 0), (2, 0.5), (3, 0.75), (6, 0.96875)])
def test_coverage_says_what_few_samples_are_worth(count: int, expected: float) -> None:
    assert coverage(count) == pytest.approx(expected)


@given(st.integers(6, 300))
def test_from_six_samples_on_the_interval_covers_95_percent(count: int) -> None:
    assert 0.95 <= coverage(count) <= 1


def test_the_interval_covers_the_true_median_as_often_as_it_says() -> None:
    draws = np.random.default_rng(0).exponential(size=(2000, 20))
    hits = sum(i.low <= math.log(2) <= i.high for i in map(interval, draws))
    assert hits / 2000 == pytest.approx(coverage(20), abs=0.015)


def test_raw_samples_are_kept_in_their_order() -> None:
    assert interval([3.0, 1.0, 2.0]) == Interval(2.0, 1.0, 3.0, ((3.0, 1.0, 2.0),))
    assert interval(iter([3.0, 1.0])).samples == (3.0, 1.0)


def test_no_samples_is_an_error() -> None:
    with pytest.raises(AttnprofError, match="at least one sample"):
        interval([])


@given(st.floats(0.2, 3), st.floats(1e-6, 1e6))
def test_a_power_law_gives_its_exponent_with_a_tight_interval(power: float, scale: float) -> None:
    found = exponent(NS, [scale * n**power for n in NS])
    assert found is not None
    assert found.slope == pytest.approx(power, rel=1e-9)
    assert found.low == pytest.approx(power, rel=1e-6)
    assert found.high == pytest.approx(power, rel=1e-6)
    assert (found.n_low, found.n_high) == (1024, 16384)


def test_the_exponents_interval_is_students() -> None:
    linregress = pytest.importorskip("scipy.stats").linregress
    values = [1.0, 2.2, 3.9, 8.5, 15.0]
    line = linregress(np.log(NS), np.log(values))
    found = exponent(NS, values)
    assert found is not None
    assert found.high is not None
    assert found.high - found.slope == pytest.approx(3.182446305284263 * line.stderr)


def test_missing_values_shorten_the_fit() -> None:
    found = exponent(NS, [1.0, 2.0, None, None, 0.0])
    assert found == stats.Exponent(pytest.approx(1.0), None, None, 1024, 2048)
    assert exponent(NS, [1.0, None, None, None, None]) is None


def test_local_exponents_join_the_neighbours_that_have_values() -> None:
    found = local_exponents(NS, [1.0, 2.0, None, 32.0, 64.0])
    assert [(e.n_low, e.n_high) for e in found] == [(1024, 2048), (2048, 8192), (8192, 16384)]
    assert [e.slope for e in found] == pytest.approx([1, 2, 1])


def test_one_sample_bounds_nothing() -> None:
    found = over_rounds([[2.0]])
    assert not found.bounded
    assert found.half_width == math.inf
    assert over_rounds([[2.0], [2.1]]).bounded


def test_too_few_rounds_are_as_sure_as_the_noise_of_the_run_makes_them() -> None:
    heard = noise([over_rounds([[1.0], [1.1], [1.2]]), over_rounds([[5.0, 5.2], [5.5]])])
    once = heard.settled(over_rounds([[2.0]]))
    spread = math.sqrt(heard.deviation**2 + heard.within**2)
    assert heard.freedom == 3
    assert math.log(once.high / once.median) == pytest.approx(3.182446 * spread)  # t at 97.5% by the tables
    assert math.log(once.median / once.low) == pytest.approx(3.182446 * spread)
    assert heard.settled(once) == once
    three = over_rounds([[1.0], [1.1], [1.2]])
    assert heard.settled(three) is three
    assert not noise([over_rounds([[1.0, 1.1]])]).settled(over_rounds([[1.0, 1.1]])).bounded


def test_one_round_has_the_interval_of_its_samples_and_none_is_an_error() -> None:
    assert over_rounds([[3.0, 1.0, 2.0]]) == interval([3.0, 1.0, 2.0])
    assert over_rounds([[], [3.0]]).rounds == ((3.0,),)
    with pytest.raises(AttnprofError, match="at least one sample"):
        over_rounds([[]])


def test_the_interval_over_rounds_is_students_on_the_logarithms_of_their_medians() -> None:
    rounds = [[1.0, 1.0, 9.0], [1.1, 1.1], [1.3]]
    logs = [math.log(x) for x in (1.0, 1.1, 1.3)]
    half = 4.302653 * statistics.stdev(logs) / math.sqrt(3)  # t at 97.5% with 2 degrees of freedom, by the tables
    found = over_rounds(rounds)
    assert found.median == pytest.approx(1.1)
    assert (math.log(found.low), math.log(found.high)) == pytest.approx(
        (statistics.fmean(logs) - half, statistics.fmean(logs) + half)
    )
    assert found.rounds == tuple(map(tuple, rounds))


@given(st.lists(st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=4), min_size=1, max_size=12))
def test_an_interval_over_rounds_holds_its_median(rounds: list[list[float]]) -> None:
    found = over_rounds(rounds)
    assert found.low <= found.median <= found.high


def test_the_noise_is_pooled_over_points_of_any_size() -> None:
    draw = np.random.default_rng(3)
    points = [
        over_rounds([[scale * math.exp(draw.normal(0, 0.05))] for _ in range(3)])
        for scale in np.geomspace(1e-3, 10, 300)
    ]
    found = noise([*points, interval([1.0, 5.0])])
    assert found.freedom == 600
    assert found.deviation == pytest.approx(0.05, rel=0.1)
    assert found.factor(3, 3) == pytest.approx(math.expm1(1.96 * 0.05 * math.sqrt(2 / 3)), rel=0.12)
    assert noise([]).factor(3, 3) == 0
