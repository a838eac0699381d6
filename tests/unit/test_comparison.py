"""Two runs, point by point: what may be said of them, and how often it is wrong."""

from __future__ import annotations

import math

import numpy as np
import pytest

from attnprof import comparison
from attnprof.comparison import Comparison, Verdict, compare_runs
from attnprof.interval import Interval
from attnprof.records import Measured, Point, Record
from attnprof.shapes import Shape
from attnprof.stats import over_rounds


def record(name: str, rounds: list[list[float]], *flags: str) -> Record:
    """A measured point."""
    return Record("cost", name, Point(name, Shape(n=64)), measured=Measured(wall_s=over_rounds(rounds)), flags=flags)


def one(a: list[float], b: list[float], *flags: str, tolerance: float | None = 0.05) -> comparison.Compared:
    """Two sides of one point, a sample a round."""
    before, after = record("x", [[s] for s in a]), record("x", [[s] for s in b], *flags)
    (row,) = compare_runs([before], [after], tolerance=tolerance).rows
    return row


QUIET = [1.0, 1.001, 0.999]


@pytest.mark.parametrize(
    ("factor", "verdict"),
    [(1.0, Verdict.SAME), (1.2, Verdict.SLOWER), (0.8, Verdict.FASTER), (1.0501, Verdict.AMBIGUOUS)],
)
def test_verdicts_of_a_quiet_machine(factor: float, verdict: Verdict) -> None:
    assert one(QUIET, [s * factor for s in QUIET]).verdict is verdict


@pytest.mark.parametrize("flag", sorted(comparison.UNFIT))
def test_a_flagged_point_has_no_verdict(flag: str) -> None:
    row = one(QUIET, [s * 900 for s in QUIET], flag)
    assert (row.verdict, row.why) == (Verdict.AMBIGUOUS, comparison.UNFIT[flag])


@pytest.mark.parametrize(("count", "said"), [(1, "1 round of"), (2, "2 rounds of")])
def test_too_few_rounds_have_no_verdict(count: int, said: str) -> None:
    row = one(QUIET[:count], [s * 900 for s in QUIET])
    assert row.verdict is Verdict.AMBIGUOUS
    assert said in row.why


def test_samples_of_one_process_are_no_rounds() -> None:
    """What was called x949 SLOWER: sixty samples of one moment against three of another."""
    a, b = record("x", [[0.0002] * 60]), record("x", [[0.19, 0.194, 0.2]])
    (row,) = compare_runs([a], [b]).rows
    assert (row.verdict, row.ratio.median) == (Verdict.AMBIGUOUS, pytest.approx(970))


def test_the_ratio_is_welchs() -> None:
    """By hand: shift log 1.1, variances 4e-4 and 1e-4 over 3, so 2.94 degrees of freedom and t = 3.22."""
    a = over_rounds([[math.exp(0.02 * k)] for k in (-1, 0, 1)])
    b = over_rounds([[1.1 * math.exp(0.01 * k)] for k in (-1, 0, 1)])
    found = comparison.ratio(a, b)
    half = 3.2165 * math.sqrt(5e-4 / 3)
    assert math.log(found.low) == pytest.approx(math.log(1.1) - half, abs=1e-4)
    assert math.log(found.high) == pytest.approx(math.log(1.1) + half, abs=1e-4)


def test_holm_lets_a_p_value_stand_as_far_as_the_procedure_goes() -> None:
    """Holm's own rule by hand: 0.01 and 0.02 of three pass 0.05/3 and 0.05/2, 0.06 was not sure alone."""
    shape = Interval(1, 1, 1)
    rows = [
        comparison.Compared(Point(str(p), Shape(n=1)), shape, shape, shape, verdict, p=p)
        for p, verdict in ((0.06, Verdict.SAME), (0.02, Verdict.SLOWER), (0.01, Verdict.FASTER))
    ]
    assert [row.verdict for row in comparison._corrected(rows)] == [Verdict.SAME, Verdict.SLOWER, Verdict.FASTER]
    many = [comparison.Compared(row.point, shape, shape, shape, Verdict.SLOWER, p=0.02) for row in rows]
    assert {row.verdict for row in comparison._corrected(many)} == {Verdict.AMBIGUOUS}
    assert "among 3 points" in comparison._corrected(many)[0].why


def runs(draw: np.random.Generator, process: float, shift: float, slower: int = 0) -> Comparison:
    """Two runs of forty points in three rounds, of which the first few are half as slow again in the second."""

    def side(after: bool) -> list[Record]:
        whole = shift * draw.normal()
        return [
            record(
                f"x{i}",
                [[math.exp(whole + draw.normal(0, process)) * (1.5 if after and i < slower else 1)] for _ in range(3)],
            )
            for i in range(40)
        ]

    return compare_runs(side(False), side(True))


def test_the_same_code_is_slower_in_less_than_one_comparison_of_twenty() -> None:
    """Forty points a comparison, on machines from quiet to restless, each run on a level of its own."""
    draw = np.random.default_rng(5)
    alarms = sum(runs(draw, process, process).regressed for process in (0.01, 0.03, 0.08, 0.2) for _ in range(25))
    assert alarms / 100 <= 0.05


def test_what_is_slower_is_found() -> None:
    found = runs(np.random.default_rng(6), 0.01, 0.005, slower=4)
    assert [row.point.target for row in found.rows if row.verdict is Verdict.SLOWER] == ["x0", "x1", "x2", "x3"]
    assert found.typical is not None
    assert found.typical.median == pytest.approx(1.5**0.1, abs=0.02)


def test_the_noise_of_the_machine_sets_the_tolerance() -> None:
    found = runs(np.random.default_rng(7), 0.1, 0.0)
    assert found.tolerance == pytest.approx(math.expm1(1.98 * 0.1 * math.sqrt(2 / 3)), rel=0.15)
    assert one(QUIET, QUIET, tolerance=None).verdict is Verdict.SAME
