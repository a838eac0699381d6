"""A second accelerator, whole in one file: a test puts it beside the others, as its maker would."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attnprof.device import Presence
from attnprof.device.instruments.allocator import AllocatorPeak
from attnprof.device.instruments.clock import Clock, Step
from attnprof.device.instruments.sensors import NullSensors, Sensors
from attnprof.words import DeviceName, DType

TICK_S = 2**-10


class ToyClock:
    """Every step takes a tick, and no other time passes."""

    name = "ticks of the toy"

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time

    def laps(self, steps: Sequence[Step]) -> tuple[float, ...]:
        for step in steps:
            step()
        self.time += TICK_S * len(steps)
        return (TICK_S,) * len(steps)


class Toy:
    """Its tensors lie on the host, for want of a toy."""

    name = DeviceName("toy")
    where = "cpu"
    accelerator = True
    dtype = DType.FLOAT64
    matmul_side, copy_bytes = 32, 1024

    def presence(self) -> Presence:
        return Presence(("Toy 1", "Toy 2"))

    def model(self) -> str:
        return "Toy 1"

    def software(self) -> Mapping[str, str | int | None]:
        return {"toy_driver": "1.2"}

    def clock(self) -> Clock:
        return ToyClock()

    def synchronize(self) -> None:
        pass

    def peak(self, steps: Sequence[Step]) -> AllocatorPeak:
        for step in steps:
            step()
        return AllocatorPeak(12_345, 23_456, "the toy's own word")

    def free_bytes(self) -> int:
        return 2**33

    def flush(self) -> Step | None:
        return None

    def sensors(self) -> Sensors:
        return NullSensors("toys have no sensors")


DEVICE = Toy()
