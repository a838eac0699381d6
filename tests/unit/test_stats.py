import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnprof import stats
from attnprof.errors import AttnprofError
from attnprof.records import Interval
from attnprof.stats import Crossover, Verdict, compare, coverage, crossover, exponent, interval, local_exponents

NS = (1024, 2048, 4096, 8192, 16384)


@pytest.mark.parametrize(
    ("count", "rank"), [(1, 1), (2, 1), (3, 1), (5, 1), (6, 1), (8, 1), (9, 2), (12, 3), (15, 4), (30, 10), (100, 40)]
)
def test_the_interval_uses_the_order_statistics_of_the_binomial_table(count: int, rank: int) -> None:
    found = interval(range(1, count + 1))
    assert (found.low, found.high) == (rank, count + 1 - rank)


@pytest.mark.parametrize(("count", "expected"), [(0, 0), (1, 0), (2, 0.5), (3, 0.75), (6, 0.96875)])
def test_coverage_says_what_few_samples_are_worth(count: int, expected: float) -> None:
    assert coverage(count) == expected


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


def test_power_laws_cross_where_they_are_equal() -> None:
    found = crossover(NS, [3000.0 * n for n in NS], [float(n**2) for n in NS])
    assert found is not None
    assert found.n == pytest.approx(3000)
    assert (found.low, found.high) == (2048, 4096)


def test_only_the_last_crossing_counts() -> None:
    found = crossover(NS, [1, 3, 1, 3, 1], [2, 2, 2, 2, 2])
    assert found is not None
    assert (found.low, found.high) == (8192, 16384)


NEVER = {
    "above at the end": ([1, 1, 1, 1, 3], [2] * 5),
    "below from the start": ([1] * 5, [2] * 5),
    "nothing in common": ([1, None, 1, None, 1], [None, 2, None, 2, None]),
    "equal": ([2] * 5, [2] * 5),
}


@pytest.mark.parametrize(("a", "b"), NEVER.values(), ids=NEVER)
def test_nothing_is_extrapolated(a: list[float | None], b: list[float | None]) -> None:
    assert crossover(NS, a, b) is None


MEETING = 2048 * 2 ** (math.log(2.1 / 2) / math.log(2.1 / 1.9))


def test_overlapping_intervals_widen_the_bracket() -> None:
    b = [Interval(2.0, 1.9, 2.1)] * 5
    a = [
        Interval(3.0, 2.9, 3.1),
        Interval(2.1, 2.0, 2.2),
        Interval(1.9, 1.8, 2.0),
        Interval(1.0, 0.9, 1.1),
        Interval(1, 1, 1),
    ]
    assert crossover(NS, a, b) == Crossover(pytest.approx(MEETING), 1024, 8192)
    assert crossover(NS, [*a[:3], Interval(1.9, 1.8, 2.0), a[2]], b) == Crossover(pytest.approx(MEETING), 1024, None)


VERDICTS = [
    (Interval(1, 0.99, 1.01), Interval(1.01, 1.0, 1.02), Verdict.SAME),
    (Interval(1, 0.99, 1.01), Interval(1.2, 1.15, 1.25), Verdict.SLOWER),
    (Interval(1, 0.99, 1.01), Interval(0.8, 0.75, 0.85), Verdict.FASTER),
    (Interval(1, 0.9, 1.1), Interval(1.1, 1.0, 1.2), Verdict.AMBIGUOUS),
    (Interval(1, 0.5, 1.5), Interval(1, 0.5, 1.5), Verdict.AMBIGUOUS),
    (Interval(0, 0, 0), Interval(1, 1, 1), Verdict.AMBIGUOUS),
]


@pytest.mark.parametrize(("a", "b", "verdict"), VERDICTS)
def test_verdicts(a: Interval, b: Interval, verdict: Verdict) -> None:
    assert compare(a, b, 0.05) is verdict


@pytest.mark.parametrize(
    ("few", "many", "rank"), [(4, 4, 1), (5, 5, 3), (6, 6, 6), (5, 8, 7), (8, 8, 14), (10, 10, 24)]
)
def test_the_rank_sum_rank_is_that_of_the_tables(few: int, many: int, rank: int) -> None:
    assert stats._rank_sum_rank(few, many) == rank


def test_the_normal_limit_joins_the_exact_distribution() -> None:
    exact, limit = stats._rank_sum_rank(20, 20), stats._rank_sum_rank(20, 21)
    assert exact == 128
    assert limit == pytest.approx(exact * 21 / 20, abs=2)


def test_the_ratio_covers_the_true_factor_as_often_as_it_says() -> None:
    random = np.random.default_rng(1)
    hits = 0
    for _ in range(1000):
        a, b = random.lognormal(size=9), 1.3 * random.lognormal(size=12)
        found = stats.ratio(interval(a), interval(b))
        hits += found.low <= 1.3 <= found.high
    assert 0.94 <= hits / 1000 <= 0.98


def test_the_same_noisy_samples_are_the_same() -> None:
    samples = interval([1.0, 1.03, 0.99, 1.02, 1.01, 0.98, 1.0, 1.01, 0.99, 1.02])
    assert compare(samples, samples) is Verdict.SAME
    assert compare(samples, interval([s * 1.1 for s in samples.samples])) is Verdict.SLOWER


def test_three_samples_are_judged_by_their_ranges() -> None:
    found = stats.ratio(interval([1.0, 1.1, 1.2]), interval([2.0, 2.2, 2.4]))
    assert (found.low, found.high) == pytest.approx((2 / 1.2, 2.4))


@given(st.floats(0.5, 2), st.floats(0, 0.3), st.floats(0.5, 2), st.floats(0, 0.3))
def test_swapping_the_two_swaps_the_verdict(a: float, da: float, b: float, db: float) -> None:
    first, second = Interval(a, a * (1 - da), a * (1 + da)), Interval(b, b * (1 - db), b * (1 + db))
    swapped = {Verdict.FASTER: Verdict.SLOWER, Verdict.SLOWER: Verdict.FASTER}
    forward, back = compare(first, second, 0.07), compare(second, first, 0.07)
    assert back is swapped.get(forward, forward)
