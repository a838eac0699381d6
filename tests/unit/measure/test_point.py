import itertools
from typing import Any

import pytest
import torch
from torch import nn

from attnprof import machine
from attnprof.device import device_named
from attnprof.device.instruments.nvml import nvml_sensors
from attnprof.device.instruments.sensors import NullSensors, Sensors
from attnprof.errors import Unsupported
from attnprof.flags import FLAGS
from attnprof.measure import measure, measure_target
from attnprof.measure.calibrate import calibrate
from attnprof.measure.point import Outcome, threatened
from attnprof.records import Measured, plain, revive
from attnprof.shapes import Shape
from attnprof.words import Pass
from tests.fakes.accelerator import FakeAccelerator
from tests.fakes.clock import ScriptedClock
from tests.fakes.device import ScriptedDevice
from tests.fakes.nvml import FakeNvml, NVMLError
from tests.fakes.targets import FakeTarget


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.os, "getloadavg", lambda: (0.0, 0.0, 0.0))


def run(pass_: Pass, clock: Any = None, sensors: Sensors | None = None, allocator: Any = None) -> Outcome:
    module, x = nn.Linear(8, 8), torch.randn(1, 4, 8)
    clock, sensors = clock or ScriptedClock.steady(0.01), sensors or NullSensors("no device")
    return measure(module, [x], pass_, ScriptedDevice(clock, sensors, allocator), budget_s=2)


def test_training_splits_into_forward_and_backward() -> None:
    measured, reasons, flags = run("train")
    assert measured.wall_s is not None
    assert measured.forward_s is not None
    assert measured.backward_s is not None
    assert measured.wall_s.median == pytest.approx(measured.forward_s.median + measured.backward_s.median)
    assert measured.saved_bytes == 4 * 8 * 4
    assert measured.peak_bytes
    assert measured.threads == torch.get_num_threads()
    assert set(reasons) == {"reserved_bytes", "energy_j", "clock_mhz"}
    assert flags == ()


def test_a_forward_pass_says_why_fields_are_missing() -> None:
    measured, reasons, _ = run("forward")
    missing = {name for name, value in plain(measured).items() if value is None}
    assert missing == set(reasons)
    assert "no backward" in reasons["backward_s"]
    assert reasons["energy_j"] == "no device"


def test_what_was_measured_survives_json() -> None:
    measured = run("train").measured
    assert revive(Measured, plain(measured)) == measured


def test_energy_clock_and_throttling_come_from_the_sensors() -> None:
    nvml = FakeNvml(energy=[1000, 101_000], reasons=4, pids=[(99,)])
    clock = ScriptedClock.steady(0.125)
    measured, reasons, flags = run("forward", clock, nvml_sensors(nvml, "aa11"), FakeAccelerator())
    assert measured.clock_mhz == 1755
    assert measured.energy_j == pytest.approx(100 / 8)
    assert set(flags) == {"throttled", "shared_device"}
    assert "SwPowerCap" in reasons["throttled"]
    assert "energy_j" not in reasons


def test_a_device_without_an_energy_counter_says_so() -> None:
    nvml = FakeNvml(energy=NVMLError("Not Supported"))
    measured, reasons, _ = run("forward", sensors=nvml_sensors(nvml, "aa11"))
    assert measured.energy_j is None
    assert reasons["energy_j"] == "NVML: Not Supported"


def test_a_busy_machine_is_flagged_with_its_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.os, "getloadavg", lambda: (99.0, 0.0, 0.0))
    outcome = run("forward")
    assert outcome.flags == ("busy_machine",)
    assert "99.0 processes" in outcome.reasons["busy_machine"]


def test_every_flag_is_explained() -> None:
    raised = {"busy_machine", "throttled", "shared_device", "energy_short"}
    assert raised | set(run("forward", ScriptedClock.steady(7.0)).flags) <= set(FLAGS)


def test_flags_of_the_samples_are_passed_on() -> None:
    assert set(run("forward", ScriptedClock(itertools.cycle([0.01, 0.03]))).flags) >= {"noisy", "wide_interval"}


def test_decoding_needs_a_state() -> None:
    with pytest.raises(Unsupported):
        run("decode")


def test_a_target_is_built_and_measured_with_the_clock_of_its_device() -> None:
    outcome = measure_target(FakeTarget(), Shape(32, dim=16, heads=2), "train", device_named("cpu"), budget_s=0.2)
    assert outcome.measured.wall_s is not None
    assert outcome.measured.wall_s.median > 0
    assert outcome.measured.method == "time: perf_counter_ns; memory: exact allocation events of the CPU allocator"


def test_a_peak_on_an_accelerator_reports_what_its_allocator_holds() -> None:
    measured = run("train", allocator=FakeAccelerator(1000)).measured
    assert (measured.peak_bytes, measured.reserved_bytes) == (0, 1000)


def test_peaks_of_the_cpu_are_measured() -> None:
    found = calibrate(device_named("cpu"))
    assert found.matmul_flops_per_s > 1e8
    assert found.copy_bytes_per_s > 1e8
    assert found.dtype == "float32"


def test_a_peak_is_the_fastest_sample() -> None:
    found = calibrate(ScriptedDevice(ScriptedClock(itertools.cycle([0.02, 0.02, 0.01]))))
    assert found.matmul_flops_per_s == pytest.approx(2 * 1024**3 / 0.01)
    assert found.copy_bytes_per_s == pytest.approx(2 * 64 * 2**20 / 0.01)


def test_flags_are_raised_with_reasons() -> None:
    assert threatened((), ()) == {}
    assert threatened(None, None) == {}
    assert set(threatened(("SwPowerCap",), (7,))) == {"throttled", "shared_device"}
