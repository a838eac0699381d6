import importlib.metadata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from attnprof.device import Presence, device_named
from attnprof.device.instruments.nvml import nvml_sensors
from attnprof.device.instruments.sensors import NullSensors, Sensors
from attnprof.measure import fitness
from attnprof.measure.fitness import FitnessFinding
from attnprof.words import DeviceName
from tests.fakes.accelerator import FakeAccelerator
from tests.fakes.device import ScriptedDevice
from tests.fakes.nvml import FakeNvml, NVMLError


def grades(found: Iterator[FitnessFinding]) -> dict[str, str]:
    return {finding.subject: finding.grade for finding in found}


def version(**known: str) -> Any:
    def of(name: str) -> str:
        if name not in known:
            raise importlib.metadata.PackageNotFoundError(name)
        return known[name]

    return of


@pytest.mark.parametrize(
    ("known", "grade"),
    [({}, "unfit"), ({"torch": "2.8.1"}, "unfit"), ({"torch": "2.9.0"}, "ok"), ({"torch": "2.13.0+cpu"}, "ok")],
    ids=["missing", "old", "oldest", "new"],
)
def test_torch_must_be_there_and_new_enough(known: dict[str, str], grade: str) -> None:
    (found,) = fitness.torch_installed(version(**known))
    assert found.grade == grade
    assert bool(found.fix) == (grade == "unfit")


def test_the_abandoned_distribution_is_noted() -> None:
    assert grades(fitness.packages(version(pynvml="13.0.1"))) == {"pynvml": "note"}
    assert grades(fitness.packages(version())) == {}


def test_load_and_frequency_scaling_are_noted(tmp_path: Path) -> None:
    governor = tmp_path / "scaling_governor"
    governor.write_text("powersave\n")
    busy = grades(fitness.processor(governor, load=lambda: 99.0))
    assert {"load", "frequency"} <= {name for name, grade in busy.items() if grade == "note"}
    governor.write_text("performance\n")
    assert {"load", "frequency"}.isdisjoint(grades(fitness.processor(governor, load=lambda: 0.0)))


def test_more_threads_than_cores_are_noted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(fitness, "usable_cores", lambda: 0)
    assert grades(fitness.processor(tmp_path / "none"))["threads"] == "note"


def test_little_memory_and_swapping_are_noted() -> None:
    assert grades(fitness.memory(lambda: 2**30, lambda: 5)) == {"memory": "note", "swap": "note"}
    assert grades(fitness.memory(lambda: 2**40, lambda: 0)) == {"memory": "ok"}


def test_an_unwritable_folder_is_unfit(tmp_path: Path) -> None:
    assert grades(fitness.writable(tmp_path / "new" / "run")) == {"folder": "ok"}
    (tmp_path / "file").write_text("")
    assert grades(fitness.writable(tmp_path / "file")) == {"folder": "unfit"}


HERE = Presence(("X", "Y"))
NOT_BUILT = Presence(("X",), "X is there, but this torch has no Y", "install it")
ABSENT = Presence((), "no device is visible", "look for it")


def other(found: Presence, readings: Sensors | None = None) -> ScriptedDevice:
    readings = readings or NullSensors("none")
    return ScriptedDevice(found=found, readings=readings, allocator=FakeAccelerator(), name=DeviceName("cuda"))


@pytest.mark.parametrize(
    ("found", "expected"),
    [(ABSENT, {"cuda": "unfit"}), (NOT_BUILT, {"cuda": "unfit"}), (HERE, {"cuda": "ok", "sensors": "note"})],
    ids=["absent", "not built", "here"],
)
def test_the_device_must_be_there_and_torch_built_for_it(found: Presence, expected: dict[str, str]) -> None:
    assert grades(fitness.usable(other(found))) == expected


@pytest.mark.parametrize(
    ("found", "expected"),
    [(ABSENT, {}), (NOT_BUILT, {"cuda": "note"}), (HERE, {"cuda": "ok"})],
    ids=["absent", "not built", "here"],
)
def test_devices_beside_the_one_asked_for_are_listed(found: Presence, expected: dict[str, str]) -> None:
    assert grades(fitness.beside(device_named("cpu"), [device_named("cpu"), other(found)])) == expected
    assert grades(fitness.beside(other(found), [other(found)])) == {}


def test_a_processor_is_always_there() -> None:
    assert grades(fitness.usable(device_named("cpu"))) == {}


def sensors(**answers: Any) -> Sensors:
    return nvml_sensors(FakeNvml(**answers), "aa11")


def test_a_quiet_accelerator_has_nothing_to_note() -> None:
    assert grades(fitness.device_state(sensors())) == {"device": "ok"}


def test_what_spoils_timing_on_an_accelerator_is_noted_with_a_fix() -> None:
    state = sensors(reasons=64, pids=[(3,)], persistence=0, mig=[[1, 1]], energy=NVMLError("Not Supported"))
    found = list(fitness.device_state(state))
    assert {f.subject for f in found if f.grade == "note"} == {"sharing", "throttling", "persistence", "mig", "energy"}
    assert all(f.fix for f in found if f.grade == "note")


def test_missing_tools_say_how_to_get_them() -> None:
    missing = list(fitness.tools(lambda name: None))
    assert all(f.grade == "note" and f.fix for f in missing)
    assert grades(fitness.tools(lambda name: f"/usr/bin/{name}")) == {"chromium": "ok", "pdflatex": "ok"}


def test_the_allocator_is_named_and_what_its_default_adds() -> None:
    (default,) = fitness.allocator({"OMP_NUM_THREADS": "2"}, "glibc")
    assert "page faults" in default.text
    (own,) = fitness.allocator({"MALLOC_MMAP_THRESHOLD_": "8589934592"}, "glibc")
    assert own.text == "MALLOC_MMAP_THRESHOLD_=8589934592"
    assert list(fitness.allocator({}, "")) == []
