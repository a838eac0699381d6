"""The processor that this process runs on, and the memory beside it."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from attnprof.device.instruments.allocator import AllocatorPeak, host_peak
from attnprof.device.instruments.clock import Clock, HostClock, Step
from attnprof.device.instruments.protocol import Presence
from attnprof.device.instruments.sensors import NullSensors, Sensors
from attnprof.words import DeviceName, DType

CGROUP = Path("/sys/fs/cgroup")


class Cpu:
    """What is always there: no events, no queue, no sensors that a process may read."""

    name = DeviceName.CPU
    where = "cpu"
    accelerator = False
    dtype = DType.FLOAT32
    matmul_side, copy_bytes = 1024, 64 * 2**20

    def presence(self) -> Presence:
        """Always."""
        return Presence((cpu_model() or "an unnamed processor",))

    def model(self) -> str | None:
        """The processor's name."""
        return cpu_model()

    def software(self) -> Mapping[str, str | int | None]:
        """The instructions that torch uses of it."""
        import torch

        return {"cpu_capability": torch.backends.cpu.get_cpu_capability()}

    def clock(self) -> Clock:
        """The host's."""
        return HostClock()

    def synchronize(self) -> None:
        """Nothing: work is done when its call returns."""

    def peak(self, steps: Sequence[Step]) -> AllocatorPeak:
        """Exact, from the events of torch's allocator."""
        return host_peak(steps)

    def free_bytes(self) -> int:
        """What is free without swapping, and within the control group's limit."""
        return free_bytes()

    def flush(self) -> Step | None:
        """None: its caches are left as they are."""
        return None

    def sensors(self) -> Sensors:
        """None of them."""
        return NullSensors("no sensor is read on cpu")


DEVICE = Cpu()


def cpu_model(path: Path = Path("/proc/cpuinfo")) -> str | None:
    """The processor's name."""
    if path.is_file():
        for line in path.read_text(errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() in ("model name", "Model", "Processor") and value.strip():
                return value.strip()
    return platform.processor() or None


def free_bytes(limits: Path = CGROUP) -> int:
    """Bytes that can still be allocated without swapping and within the control group's limit."""
    free: int = psutil.virtual_memory().available
    limit, used = _number(limits / "memory.max"), _number(limits / "memory.current")
    return free if limit is None or used is None else max(0, min(free, limit - used))


def memory_bytes(limits: Path = CGROUP) -> int:
    """Memory of the machine, or of the control group if that has less."""
    total: int = psutil.virtual_memory().total
    limit = _number(limits / "memory.max")
    return total if limit is None else min(total, limit)


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
