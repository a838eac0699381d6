"""As much of torch as its accelerator API has, on an imaginary device; nothing is allocated."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from tests.fakes.clock import FakeDevice


class FakeTorch:
    """Stands in for the module `torch`: versions, properties of the device, a buffer that can be cleared."""

    int8 = "int8"

    def __init__(self, device: FakeDevice | None = None, *, hip: str | None = None, **properties: Any) -> None:
        self.device = device or FakeDevice()
        self.size = 0
        self.version = SimpleNamespace(cuda=None if hip else "13.0", hip=hip)
        self.backends = SimpleNamespace(cudnn=SimpleNamespace(version=lambda: 91000))
        self.cuda = SimpleNamespace(
            is_available=lambda: True,
            get_device_name=lambda where: "Imaginary 100",
            get_device_properties=lambda where: SimpleNamespace(**properties),
            mem_get_info=lambda where: (1000, 9000),
            memory_reserved=lambda where: 500,
            memory_allocated=lambda where: 200,
        )

    def empty(self, size: int, dtype: str, device: str) -> Any:
        self.size = size
        return SimpleNamespace(zero_=lambda: self.device.work(0.5, "flush"))
