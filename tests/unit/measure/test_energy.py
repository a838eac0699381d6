from typing import Any

import pytest

from attnprof.device.instruments.nvml import nvml_sensors
from attnprof.device.instruments.sensors import NullSensors
from attnprof.measure.energy import Energy, energy
from tests.fakes.clock import ScriptedClock
from tests.fakes.nvml import FakeNvml, NVMLError


def measured(clock: ScriptedClock, *, run_s: float = 0.02, **options: Any) -> Energy:
    energies = options.pop("energies")
    return energy([lambda: None], clock, nvml_sensors(FakeNvml(energy=list(energies)), "aa11"), run_s=run_s, **options)


def test_energy_is_divided_by_the_runs_of_a_whole_second() -> None:
    found = measured(ScriptedClock.steady(0.125), energies=[1000, 101_000])
    assert found.runs == 40
    assert found.window_s == 1.0
    assert found.joules == 2.5
    assert not found.short


def test_a_window_that_may_not_last_a_second_is_short() -> None:
    found = measured(ScriptedClock.steady(0.1), energies=[0, 30_000], most_s=0.3)
    assert found.short
    assert found.joules == pytest.approx(30 / found.runs)


BROKEN = {
    "wrapped": ([5000, 10], "went backwards"),
    "did not tick": ([5000, 5000], "did not tick"),
    "lost": ([5000, NVMLError("GPU is lost")], "GPU is lost"),
    "not supported": ([NVMLError("Not Supported")], "Not Supported"),
}


@pytest.mark.parametrize(("energies", "why"), BROKEN.values(), ids=BROKEN)
def test_a_counter_that_cannot_be_trusted_gives_none_with_a_reason(energies: list[Any], why: str) -> None:
    found = measured(ScriptedClock.steady(0.1), energies=energies)
    assert found.joules is None
    assert found.reason is not None
    assert why in found.reason


def test_without_a_counter_nothing_is_run() -> None:
    clock = ScriptedClock.steady(0.1)
    found = energy([lambda: None], clock, NullSensors("no device"), run_s=0.1)
    assert (found.joules, found.reason, clock.passes) == (None, "no device", 0)
