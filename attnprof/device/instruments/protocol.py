"""What a device must offer to be measured on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from attnprof.device.instruments.allocator import AllocatorPeak
from attnprof.device.instruments.clock import Clock, Step
from attnprof.device.instruments.sensors import Sensors
from attnprof.words import DeviceName, DType


@dataclass(frozen=True, slots=True)
class Presence:
    """What this machine has of a kind of device: their names as the driver shows them.

    Where torch cannot use them, or there are none, `missing` says so and `fix` what to do; both are empty otherwise.
    """

    names: tuple[str, ...]
    missing: str = ""
    fix: str = ""


@runtime_checkable
class Device(Protocol):
    """A kind of device. Nothing of it imports torch but what runs, or reads, the device itself."""

    @property
    def name(self) -> DeviceName:
        """What `--device` and the records call it: the name of its file."""
        ...

    @property
    def where(self) -> str:
        """What torch calls it, as `Tensor.to` takes it."""
        ...

    @property
    def accelerator(self) -> bool:
        """Whether it is a device of its own, which `auto` prefers, with a driver that may say who else uses it."""
        ...

    @property
    def dtype(self) -> DType:
        """The precision that work is done in there unless another is asked for."""
        ...

    @property
    def matmul_side(self) -> int:
        """Rows of a square matrix whose product with another keeps it busy: what its peak is measured with."""
        ...

    @property
    def copy_bytes(self) -> int:
        """Bytes whose copy keeps its memory busy, and that no cache of it holds."""
        ...

    def presence(self) -> Presence:
        """Whether it can be used on this machine, found without importing torch."""
        ...

    def model(self) -> str | None:
        """The maker's name of it; None where the system does not say."""
        ...

    def software(self) -> Mapping[str, str | int | None]:
        """Versions and settings of what runs work on it, for a run's header; asked of every device, used or not."""
        ...

    def clock(self) -> Clock:
        """What times steps on it."""
        ...

    def synchronize(self) -> None:
        """Return when all work that was queued on it is done."""
        ...

    def peak(self, steps: Sequence[Step]) -> AllocatorPeak:
        """Run the steps once; the highest live bytes over what lived before them."""
        ...

    def free_bytes(self) -> int:
        """Bytes that can still be allocated on it."""
        ...

    def flush(self) -> Step | None:
        """A step that empties its last-level cache of what was used before; None where it is left as it is."""
        ...

    def sensors(self) -> Sensors:
        """What it says of itself; readings that it lacks are None with a reason."""
        ...
