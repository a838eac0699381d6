"""The processor that this process runs on, and the memory beside it."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from attnprof.device.instruments.allocator import AllocatorPeak, host_peak
from attnprof.device.instruments.clock import Clock, HostClock, Step
from attnprof.device.instruments.memory_bounds import ROOT, bounds
from attnprof.device.instruments.protocol import Presence
from attnprof.device.instruments.sensors import NullSensors, Sensors
from attnprof.words import DeviceName, DType


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
        """What is free without swapping, and within the limits of its control groups and its own."""
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


def free_bytes(root: Path = ROOT) -> int:
    """Bytes that this process can still allocate without swapping and within every limit set on it."""
    free: int = psutil.virtual_memory().available
    return min([free, *(bound.left for bound in bounds(root))])


def memory_bytes(root: Path = ROOT) -> int:
    """Memory of the machine, or the least limit on this process if that is less."""
    total: int = psutil.virtual_memory().total
    return min([total, *(bound.limit for bound in bounds(root))])
