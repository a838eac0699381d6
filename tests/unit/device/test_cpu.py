from pathlib import Path

import psutil

from attnprof.device import device_named
from attnprof.device.cpu import cpu_model, free_bytes, memory_bytes
from attnprof.device.instruments.clock import HostClock


def test_without_a_limit_the_machine_decides(tmp_path: Path) -> None:
    assert memory_bytes(tmp_path) == psutil.virtual_memory().total
    assert 0 < free_bytes(tmp_path) <= psutil.virtual_memory().total


def test_the_least_limit_decides(tmp_path: Path) -> None:
    group = tmp_path / "sys/fs/cgroup"
    group.mkdir(parents=True)
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/\n")
    (group / "memory.max").write_text("5000000\n")
    (group / "memory.current").write_text("2000000\n")
    assert free_bytes(tmp_path) == 3000000
    assert memory_bytes(tmp_path) == 5000000


def test_the_processor_is_named(tmp_path: Path) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text("processor : 0\nmodel name\t: Imaginary 9000\n")
    assert cpu_model(file) == "Imaginary 9000"


def test_it_is_timed_by_the_host_and_has_no_sensors_and_no_cache_to_clear() -> None:
    cpu = device_named("cpu")
    assert isinstance(cpu.clock(), HostClock)
    assert cpu.flush() is None
    assert cpu.sensors().reasons["energy_j"] == "no sensor is read on cpu"
    assert not cpu.accelerator
