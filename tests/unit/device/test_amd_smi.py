import os
from pathlib import Path
from typing import Any

import pytest

from attnprof.device.instruments.amd_smi import AmdSensors, amd_names, architecture
from tests.fakes.amd_smi import AmdSmiException, FakeAmdSmi


def sensors(**answers: Any) -> AmdSensors:
    return AmdSensors(FakeAmdSmi(**answers), "0000:C1:00.0")


def test_readings_come_in_the_units_of_their_names() -> None:
    device = sensors()
    assert device.energy_j() == pytest.approx(30.6)
    assert (device.power_w(), device.clock_mhz()) == (140.0, 2100.0)
    assert device.reasons == {}


def test_older_versions_answer_under_other_names() -> None:
    device = sensors(energy={"power": 10**6, "counter_resolution": 15.0}, power={"average_socket_power": 90})
    assert (device.energy_j(), device.power_w()) == (15.0, 90.0)


@pytest.mark.parametrize(
    ("answer", "why"),
    [(AmdSmiException("not supported"), "not supported"), ({"energy_accumulator": "N/A"}, "no energy_accumulator")],
)
def test_a_missing_sensor_is_none_with_its_reason(answer: Any, why: str) -> None:
    device = sensors(energy=answer)
    assert device.energy_j() is None
    assert device.reasons == {"energy_j": f"AMD SMI: {why}"}


def test_other_processes_are_listed_without_this_one() -> None:
    assert sensors(processes=[{"pid": 7}, {"pid": os.getpid()}, {"pid": 3}]).processes() == (3, 7)
    old = sensors(processes=[object()])
    assert old.processes() is None
    assert "processes" in old.reasons


def test_throttling_is_not_read_and_says_so() -> None:
    device = sensors()
    assert device.throttle() is None
    assert "throttle" in device.reasons


def test_the_identity_has_the_entries_of_every_device() -> None:
    assert sensors(uuid=AmdSmiException("no")).identity() == {
        "name": "Imaginary 300X",
        "uuid": None,
        "driver": "6.12.12",
        "persistence": None,
        "ecc": None,
        "mig": None,
    }


@pytest.mark.parametrize(("version", "name"), [(90402, "gfx942"), (90010, "gfx90a"), (110501, "gfx1151")])
def test_an_architecture_is_written_as_the_driver_writes_it(version: int, name: str) -> None:
    assert architecture(version) == f"AMD {name}"


def test_the_kernel_shows_devices_and_not_processors(tmp_path: Path) -> None:
    for node, version in ((0, 0), (1, 90402), (10, 90010)):
        (tmp_path / str(node)).mkdir()
        (tmp_path / str(node) / "properties").write_text(f"cpu_cores_count 0\ngfx_target_version {version}\n")
    driver = tmp_path / "kfd"
    assert amd_names(tmp_path, driver) == ()
    driver.write_text("")
    assert amd_names(tmp_path, driver) == ("AMD gfx942", "AMD gfx90a")
