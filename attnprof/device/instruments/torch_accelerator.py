"""What torch does alike on every accelerator that it has events and an allocator for."""

from __future__ import annotations

from collections.abc import Sequence

from attnprof.device.instruments.allocator import AllocatorPeak, accelerator_peak
from attnprof.device.instruments.clock import AcceleratorClock, Clock, Step
from attnprof.words import DType


class TorchAccelerator:
    """The part of a device that `torch.accelerator` offers; what it lacks, the device's own file adds."""

    accelerator = True
    dtype = DType.BFLOAT16
    matmul_side, copy_bytes = 8192, 2**30
    where: str

    def clock(self) -> Clock:
        """Events on the device."""
        import torch

        where = torch.device(self.where)
        return AcceleratorClock(lambda: torch.Event(device=where, enable_timing=True), self.synchronize)

    def synchronize(self) -> None:
        """Wait for the device."""
        import torch

        torch.accelerator.synchronize(torch.device(self.where))

    def peak(self, steps: Sequence[Step]) -> AllocatorPeak:
        """The device allocator's peak over its baseline."""
        import torch

        return accelerator_peak(steps, self.where, torch.accelerator)
