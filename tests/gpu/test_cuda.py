"""The CUDA paths on hardware. Each has a twin in tests/unit/measure that runs the same code on fakes."""

import time
from collections.abc import Iterator

import pytest
import torch
from torch import nn

from attnprof.device import device_named
from attnprof.device.instruments.clock import Clock
from attnprof.device.instruments.nvml import NvmlSensors
from attnprof.measure import measure_target
from attnprof.measure.calibrate import calibrate
from attnprof.measure.energy import energy
from attnprof.measure.environment import environment
from attnprof.measure.gate import check
from attnprof.measure.memory import peak
from attnprof.measure.passes import passage
from attnprof.shapes import Shape
from attnprof.targets import door

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
CUDA = device_named("cuda")
MIB = 2**20


@pytest.fixture
def clock() -> Iterator[Clock]:
    yield CUDA.clock()
    torch.cuda.synchronize()


def test_events_wait_for_the_device_and_not_for_the_host(clock: Clock) -> None:
    a = torch.randn(8192, 8192, device="cuda")
    (a @ a).sum().item()
    before = time.perf_counter()
    (first, second) = clock.laps([lambda: a @ a, lambda: (a @ a, a @ a)])
    assert first + second <= time.perf_counter() - before
    assert second == pytest.approx(2 * first, rel=0.3)


def test_the_cache_is_cleared_outside_the_timed_region(clock: Clock) -> None:
    flush = CUDA.flush()
    assert flush is not None
    small = torch.randn(1024, device="cuda")
    step = [lambda: small.add(1)]
    clock.laps(step)
    plain = min(clock.laps(step)[0] for _ in range(20))
    flushed = []
    for _ in range(20):
        flush()
        flushed.append(clock.laps(step)[0])
    (cleared,) = clock.laps([flush])
    assert min(flushed) < plain + cleared


def test_the_peak_of_a_linear_layer_is_that_of_its_output() -> None:
    layer = nn.Linear(1024, 1024, bias=False, device="cuda")
    x = torch.randn(4096, 1024, device="cuda")
    leftovers = [torch.empty(64 * MIB, device="cuda") for _ in range(2)]
    del leftovers
    found = peak(passage(layer, (x,), "forward"), CUDA)
    assert found.peak_bytes == pytest.approx(16 * MIB, abs=MIB)
    assert found.reserved_bytes is not None
    assert found.reserved_bytes >= found.peak_bytes


def test_energy_is_counted_over_a_second_of_work(clock: Clock) -> None:
    sensors = CUDA.sensors()
    if not isinstance(sensors, NvmlSensors) or sensors.energy_j() is None:
        pytest.skip(f"no energy counter: {dict(sensors.reasons)}")
    a = torch.randn(4096, 4096, device="cuda")
    (a @ a).sum().item()
    (run_s,) = clock.laps([lambda: a @ a])
    found = energy([lambda: a @ a], clock, sensors, run_s=run_s)
    assert not found.short
    assert found.joules is not None
    watts = found.joules * found.runs / found.window_s
    assert 20 < watts < 2000


def test_the_device_is_identified_by_uuid() -> None:
    sensors = CUDA.sensors()
    assert isinstance(sensors, NvmlSensors)
    assert sensors.identity()["name"] == torch.cuda.get_device_name(0)
    assert not CUDA.presence().missing
    assert environment(CUDA)["accelerator"]["uuid"]
    assert 0 < CUDA.free_bytes() <= torch.cuda.get_device_properties(0).total_memory


def test_peaks_are_those_of_a_device() -> None:
    found = calibrate(CUDA)
    assert found.dtype == "bfloat16"
    assert found.matmul_flops_per_s > 1e12
    assert found.copy_bytes_per_s > 5e10


@pytest.mark.parametrize("name", ["flash", "sliding_window", "longformer"])
@pytest.mark.parametrize("pass_", ["forward", "train"])
def test_schemes_pass_the_gate_and_are_measured(name: str, pass_: str) -> None:
    target, shape = door.find(name), Shape(2048, causal=True, dtype="bfloat16")
    assert check(target, shape, pass_, "cuda") == {}  # type: ignore[arg-type]
    outcome = measure_target(target, shape, pass_, CUDA, budget_s=2.0)  # type: ignore[arg-type]
    measured = outcome.measured
    assert measured.wall_s is not None
    assert measured.wall_s.median > 0
    assert measured.peak_bytes
    assert measured.clock_mhz is not None or "clock_mhz" in outcome.reasons
    assert measured.method is not None
    assert measured.method.startswith("time: device events")
