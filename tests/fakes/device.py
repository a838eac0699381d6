"""A device that follows a script: its clock, its allocator and its sensors; its tensors lie on the host."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from attnprof.device import Presence
from attnprof.device.instruments.allocator import AllocatorPeak, accelerator_peak, host_peak
from attnprof.device.instruments.clock import Clock, Step
from attnprof.device.instruments.sensors import NullSensors, Sensors
from attnprof.words import DeviceName, DType
from tests.fakes.accelerator import FakeAccelerator
from tests.fakes.clock import ScriptedClock

HERE = Presence(("Imaginary 100",))


@dataclass
class ScriptedDevice:
    """An accelerator where it has an allocator of its own, else like a processor."""

    script: Clock = field(default_factory=lambda: ScriptedClock.steady(0.01))
    readings: Sensors = field(default_factory=lambda: NullSensors("no device"))
    allocator: FakeAccelerator | None = None
    found: Presence = HERE
    name: DeviceName = DeviceName.CPU
    where: str = "cpu"
    dtype: DType = DType.FLOAT32
    matmul_side: int = 1024
    copy_bytes: int = 64 * 2**20

    @property
    def accelerator(self) -> bool:
        return self.allocator is not None

    def presence(self) -> Presence:
        return self.found

    def model(self) -> str | None:
        return self.found.names[0] if self.found.names else None

    def software(self) -> Mapping[str, str | int | None]:
        return {}

    def clock(self) -> Clock:
        return self.script

    def synchronize(self) -> None:
        pass

    def peak(self, steps: Sequence[Step]) -> AllocatorPeak:
        return host_peak(steps) if self.allocator is None else accelerator_peak(steps, self.where, self.allocator)

    def free_bytes(self) -> int:
        return 2**40

    def flush(self) -> Step | None:
        return None

    def sensors(self) -> Sensors:
        return self.readings
