"""An accelerator's allocator that follows a script of allocations and frees."""

from __future__ import annotations


class FakeAccelerator:
    """Stands in for `torch.accelerator`: bytes allocated now, their peak since the reset, what is held in all."""

    def __init__(self, allocated: int = 0) -> None:
        self.allocated = self.top = allocated
        self.reserved = allocated
        self.log: list[str] = []

    def change(self, size: int) -> None:
        self.allocated += size
        self.top = max(self.top, self.allocated)
        self.reserved = max(self.reserved, self.allocated)

    def synchronize(self, device: str) -> None:
        self.log.append("synchronize")

    def empty_cache(self) -> None:
        self.log.append("empty_cache")
        self.reserved = self.allocated

    def memory_allocated(self, device: str) -> int:
        return self.allocated

    def reset_peak_memory_stats(self, device: str) -> None:
        self.log.append("reset")
        self.top = self.allocated

    def max_memory_allocated(self, device: str) -> int:
        return self.top

    def max_memory_reserved(self, device: str) -> int:
        return self.reserved
