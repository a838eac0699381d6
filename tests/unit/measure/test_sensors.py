import os
from typing import Any

import pytest
from attnprof.measure.sensors import NullSensors, NvmlSensors, open_sensors, threatened

from attnprof.measure.energy import Energy, energy
from tests.fakes.clock import ScriptedClock
from tests.fakes.nvml import FakeNvml, NVMLError, NVMLLibraryMismatchError


def sensors(**answers: Any) -> NvmlSensors:
    found = open_sensors("cuda", nvml=FakeNvml(**answers), uuid="aa11", environ={})
    assert isinstance(found, NvmlSensors)
    return found


def test_readings_come_in_the_units_of_their_names() -> None:
    device = sensors(energy=12_500)
    assert device.energy_j() == 12.5
    assert device.power_w() == 71.5
    assert device.clock_mhz() == 1755.0
    assert device.reasons == {}


@pytest.mark.parametrize("error", [NVMLError("Not Supported"), NVMLLibraryMismatchError("no symbol _v3")])
def test_a_missing_sensor_is_none_with_its_reason(error: Exception) -> None:
    device = sensors(energy=error)
    assert device.energy_j() is None
    assert device.reasons == {"energy_j": f"NVML: {error}"}


def test_a_sensor_that_comes_back_has_no_reason_any_more() -> None:
    device = sensors(energy=[NVMLError("Unknown Error"), 5000])
    assert device.energy_j() is None
    assert device.energy_j() == 5.0
    assert device.reasons == {}


def test_throttling_names_what_slows_the_device_and_not_idleness() -> None:
    assert sensors(reasons=1 | 2).throttle() == ()
    assert sensors(reasons=1 | 4 | 64).throttle() == ("HwThermalSlowdown", "SwPowerCap")


def test_other_processes_are_listed_without_this_one() -> None:
    assert sensors(pids=[(7, os.getpid(), 3)]).processes() == (3, 7)


def test_the_identity_has_none_where_the_device_does_not_say() -> None:
    device = sensors()
    assert device.identity() == {
        "name": "Imaginary 100",
        "uuid": "GPU-aa11",
        "driver": "575.1",
        "persistence": True,
        "ecc": True,
        "mig": None,
    }
    assert "mig" in device.reasons


def opened(device: str, uuids: list[str], uuid: str, visible: str | None = None) -> Any:
    environ = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    return open_sensors(device, nvml=FakeNvml(uuids), uuid=uuid, environ=environ)


def test_a_device_is_found_by_uuid_whatever_its_index() -> None:
    uuids = ["GPU-aa11", "GPU-bb22", "GPU-cc33"]
    assert opened("cuda:0", uuids, "cc33").handle == "GPU-cc33"
    assert opened("cuda:1", uuids, "aa11", visible="2,0").handle == "GPU-aa11"
    assert opened("cuda:1", uuids, "", visible="GPU-cc,GPU-bb").handle == "GPU-bb22"
    assert opened("cuda:0", uuids, "", visible="MIG-77").handle == "MIG-77"


@pytest.mark.parametrize("uuid", ["dd44", ""], ids=["unknown", "ambiguous"])
def test_a_device_that_cannot_be_told_has_no_sensors(uuid: str) -> None:
    found = opened("cuda", ["GPU-aa11", "GPU-bb22"], uuid or "GPU-")
    assert isinstance(found, NullSensors)
    assert found.energy_j() is None
    assert "NVML knows no device" in found.reasons["energy_j"]


def test_without_a_driver_there_is_the_reason() -> None:
    found = open_sensors("cuda", nvml=FakeNvml(nvmlInit=NVMLError("NVML Shared Library Not Found")), uuid="aa11")
    assert found.reasons["clock_mhz"] == "NVML: NVML Shared Library Not Found"
    assert (found.power_w(), found.clock_mhz(), found.throttle(), found.processes()) == (None,) * 4
    assert found.identity() == {}


def test_a_cpu_has_no_sensors() -> None:
    assert open_sensors("cpu").reasons["energy_j"] == "no sensor is read on cpu"


def test_flags_are_raised_with_reasons() -> None:
    assert threatened((), ()) == {}
    assert threatened(None, None) == {}
    assert set(threatened(("SwPowerCap",), (7,))) == {"throttled", "shared_device"}


def measured(clock: ScriptedClock, *, run_s: float = 0.02, **options: Any) -> Energy:
    energies = options.pop("energies")
    return energy([lambda: None], clock, sensors(energy=list(energies)), run_s=run_s, **options)


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
