"""NVIDIA's devices, and AMD's, which a HIP build of torch offers under the same name with sensors of their own."""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

from attnprof.device.instruments.amd_smi import amd_names, amd_sensors
from attnprof.device.instruments.clock import Step
from attnprof.device.instruments.nvml import nvml_names, nvml_sensors
from attnprof.device.instruments.protocol import Presence
from attnprof.device.instruments.sensors import NullSensors, Sensors
from attnprof.device.instruments.torch_accelerator import TorchAccelerator
from attnprof.words import DeviceName

LIBRARIES = {"CUDA": "*torch_cuda*", "ROCm": "*torch_hip*"}
VISIBLE = {
    "CUDA": ("CUDA_VISIBLE_DEVICES",),
    "ROCm": ("ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES"),
}
UNKNOWN_CACHE_BYTES = 128 * 2**20
SHARE = 2


@dataclass(frozen=True)
class Cuda(TorchAccelerator):
    """One device, by its name in torch, which AMD's share. All but the name stands in for the machine in tests."""

    where: str = "cuda"
    nvml: ModuleType | None = None
    smi: ModuleType | None = None
    amd: tuple[str, ...] | None = None
    torch: ModuleType | None = None
    torch_folder: Path | None = None
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)

    name = DeviceName("cuda")

    def presence(self) -> Presence:
        """The devices of the maker that torch was built for, else those that it was not built for."""
        names, build = self._names(), self.build()
        usable = names.get(build, ())
        if usable:
            return Presence(usable)
        for maker in LIBRARIES:
            if maker != build and names[maker]:
                fix = f"install torch's {maker} build (see pytorch.org) to measure on it"
                return Presence(names[maker], f"{names[maker][0]} is there, but this torch has no {maker}", fix)
        maker = build or "CUDA"
        tool = "rocm-smi" if maker == "ROCm" else "nvidia-smi"
        fix = f"check {tool} and {' and '.join(VISIBLE[maker])}, or use --device cpu"
        return Presence((), f"no {maker} device is visible", fix)

    def build(self) -> str:
        """What the installed torch was built for, judged by its libraries: `CUDA`, `ROCm`, or nothing of both."""
        spec = importlib.util.find_spec("torch") if self.torch_folder is None else None
        folder = self.torch_folder or (Path(spec.origin).parent if spec and spec.origin else None)
        found = (maker for maker, name in LIBRARIES.items() if folder and any((folder / "lib").glob(name)))
        return next(found, "")

    def model(self) -> str | None:
        """Its name in the driver."""
        return str(self._torch().cuda.get_device_name(self.where))

    def software(self) -> Mapping[str, str | int | None]:
        """Versions of CUDA and cuDNN, and of HIP where torch was built for that; None without them."""
        torch = self._torch()
        cudnn = torch.backends.cudnn.version() if torch.cuda.is_available() else None
        hip = torch.version.hip
        return {"cuda": torch.version.cuda, "cudnn": cudnn, **({"hip": hip} if hip else {})}

    def free_bytes(self) -> int:
        """What the driver has left, and what torch's allocator holds but does not use."""
        cuda = self._torch().cuda
        idle = cuda.memory_reserved(self.where) - cuda.memory_allocated(self.where)
        return int(cuda.mem_get_info(self.where)[0] + idle)

    def flush(self) -> Step | None:
        """A step that overwrites twice the L2 cache.

        It only queues the work. The clock records its first event behind it, so that it is not timed.
        """
        torch = self._torch()
        size = torch.cuda.get_device_properties(self.where).L2_cache_size or UNKNOWN_CACHE_BYTES
        clear: Step = torch.empty(SHARE * size, dtype=torch.int8, device=self.where).zero_
        return clear

    def sensors(self) -> Sensors:
        """NVML's, found by uuid and never by index; AMD SMI's, found by PCI address."""
        if self.build() == "ROCm":
            bus = self._bus()
            return amd_sensors(bus, self.smi) if bus else NullSensors("this torch does not tell where its devices are")
        return nvml_sensors(self._nvml(), self._uuid())

    def _names(self) -> dict[str, tuple[str, ...]]:
        """The visible devices by what torch has to be built for to use them."""
        found = {"CUDA": nvml_names(self._nvml()), "ROCm": amd_names() if self.amd is None else self.amd}
        return {maker: names[: self._visible(maker, len(names))] for maker, names in found.items()}

    def _visible(self, maker: str, count: int) -> int:
        """How many devices the environment leaves: a list is read up to the first entry that names none."""
        for listed in (self.environ[name] for name in VISIBLE[maker] if name in self.environ):
            entries = [entry.strip() for entry in listed.split(",")]
            named = [e.startswith(("GPU-", "MIG-")) or (e.isdigit() and int(e) < count) for e in entries]
            count = named.index(False) if False in named else len(named)
        return count

    def _uuid(self) -> str:
        """The uuid, or the unique start of one, which the environment decides before torch is asked."""
        index = int(self.where.partition(":")[2] or 0)
        visible = [entry.strip() for entry in self.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")]
        if index < len(visible) and visible[index].startswith(("GPU-", "MIG-")):
            return visible[index]
        return str(self._torch().cuda.get_device_properties(self.where).uuid)

    def _bus(self) -> str:
        """The PCI address, as AMD SMI writes it; empty where torch does not tell it."""
        found = self._torch().cuda.get_device_properties(self.where)
        try:
            return f"{found.pci_domain_id:04x}:{found.pci_bus_id:02x}:{found.pci_device_id:02x}.0"
        except AttributeError:
            return ""

    def _torch(self) -> ModuleType:
        if self.torch is not None:
            return self.torch
        import torch

        return torch

    def _nvml(self) -> ModuleType:
        if self.nvml is not None:
            return self.nvml
        return importlib.import_module("pynvml")


DEVICE = Cuda()
