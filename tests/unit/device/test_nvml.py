import os
from typing import Any

import pytest

from attnprof.device.instruments.nvml import NvmlSensors, nvml_sensors
from attnprof.device.instruments.sensors import NullSensors
from tests.fakes.nvml import FakeNvml, NVMLError, NVMLLibraryMismatchError


def sensors(**answers: Any) -> NvmlSensors:
    found = nvml_sensors(FakeNvml(**answers), "aa11")
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


@pytest.mark.parametrize("uuid", ["dd44", ""], ids=["unknown", "ambiguous"])
def test_a_device_that_cannot_be_told_has_no_sensors(uuid: str) -> None:
    found = nvml_sensors(FakeNvml(["GPU-aa11", "GPU-bb22"]), uuid or "GPU-")
    assert isinstance(found, NullSensors)
    assert found.energy_j() is None
    assert "NVML knows no device" in found.reasons["energy_j"]


def test_without_a_driver_there_is_the_reason() -> None:
    found = nvml_sensors(FakeNvml(nvmlInit=NVMLError("NVML Shared Library Not Found")), "aa11")
    assert found.reasons["clock_mhz"] == "NVML: NVML Shared Library Not Found"
    assert (found.power_w(), found.clock_mhz(), found.throttle(), found.processes()) == (None,) * 4
    assert found.identity() == {}
