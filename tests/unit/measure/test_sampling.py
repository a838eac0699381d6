import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnprof.measure.sampling import MOST, MOST_WARM, Samples, sample
from tests.fakes.clock import ScriptedClock

STEPS = [lambda: None]


def run(clock: ScriptedClock, budget_s: float = 2.0, **options: object) -> Samples:
    return sample(STEPS, clock, budget_s=budget_s, **options)  # type: ignore[arg-type]


def test_a_steady_point_stops_as_soon_as_its_interval_is_tight() -> None:
    clock = ScriptedClock.steady(0.01)
    found = run(clock)
    assert len(found.laps) == 6
    assert clock.passes == 8
    assert clock.time == pytest.approx(0.08)
    assert found.flags == ()


def test_warm_up_goes_on_until_two_runs_agree_and_is_kept_apart() -> None:
    clock = ScriptedClock([0.1, 0.05, 0.01, 0.01, *[0.01] * 6])
    found = run(clock)
    assert clock.passes == 4 + 6
    assert found.total().samples == (0.01,) * 6
    assert found.total().median == 0.01


def test_a_noisy_point_is_sampled_until_the_most_and_flagged() -> None:
    found = run(ScriptedClock(itertools.cycle([0.01, 0.03])))
    assert len(found.laps) == MOST
    assert set(found.flags) == {"wide_interval", "noisy", "unsteady_warmup", "multimodal"}


def test_noise_narrows_until_the_target_without_dropping_outliers() -> None:
    found = run(ScriptedClock([0.01, 0.01, 0.011, 0.01, 0.05, *[0.01] * 100]))
    assert 0.05 in found.total().samples
    assert 6 < len(found.laps) < MOST
    assert found.total().half_width <= 0.03
    assert found.flags == ("noisy",)


def test_a_slow_point_gets_its_floor_of_samples_within_the_budget() -> None:
    clock = ScriptedClock.steady(0.5)
    found = run(clock)
    assert len(found.laps) == 3
    assert clock.time == 2.0
    assert set(found.flags) == {"few_samples", "unsteady_warmup"}


@pytest.mark.parametrize("seconds", [0.55, 0.66, 0.9])
def test_a_slower_point_gives_its_warm_up_for_the_floor(seconds: float) -> None:
    found = run(ScriptedClock.steady(seconds))
    assert len(found.laps) == 3
    assert set(found.flags) == {"few_samples", "cold"}
    assert run(ScriptedClock.steady(seconds), warmed=True).flags == ("few_samples",)


def test_a_point_far_beyond_its_budget_keeps_the_one_run_it_had() -> None:
    clock = ScriptedClock.steady(7.0)
    found = run(clock)
    assert found.total().samples == (7.0,)
    assert clock.passes == 1
    assert "cold" in found.flags
    assert "cut_short" in found.flags


@given(st.lists(st.floats(1e-4, 3), min_size=70, max_size=70), st.floats(0.01, 5))
def test_the_budget_is_never_exceeded_by_more_than_one_run(script: list[float], budget: float) -> None:
    clock = ScriptedClock(script)
    found = run(clock, budget)
    runs = script[: clock.passes]
    assert sum(runs[:-1]) < budget
    assert clock.passes - MOST_WARM <= len(found.laps) <= clock.passes


def test_what_happens_between_runs_is_not_timed_but_spends_the_budget() -> None:
    clock = ScriptedClock.steady(0.01)
    found = run(clock, before=lambda: clock.spend(0.3))
    assert set(found.total().samples) == {0.01}
    assert clock.time == pytest.approx(0.31 * (len(found.laps) + 2))
    assert clock.time <= 2.0


def test_preparation_that_eats_the_budget_leaves_the_last_run() -> None:
    waits = iter([0.0, 5.0])
    clock = ScriptedClock.steady(0.1)
    found = run(clock, before=lambda: clock.spend(next(waits)))
    assert found.total().samples == (0.1,)
    assert clock.passes == 2


def test_steps_are_kept_apart() -> None:
    found = sample([lambda: None, lambda: None], ScriptedClock.steady(0.04), budget_s=2)
    assert found.step(0).median == 0.02
    assert found.step(1).median == 0.02
    assert found.total().median == 0.04


def test_a_sample_below_a_millisecond_is_flagged() -> None:
    assert run(ScriptedClock.steady(1e-4)).flags == ("short",)


def test_the_collector_is_as_it_was() -> None:
    import gc

    gc.disable()
    run(ScriptedClock.steady(0.1))
    assert not gc.isenabled()
    gc.enable()
    run(ScriptedClock.steady(0.1))
    assert gc.isenabled()
