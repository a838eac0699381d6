"""NVIDIA's management library: which devices the driver shows, and what each says of itself."""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import ModuleType

from attnprof.device.instruments.sensors import NullSensors, Readings, Sensors

HARMLESS = ("GpuIdle", "None", "All", "ApplicationsClocksSetting", "UserDefinedClocks", "DisplayClockSetting")
PREFIX = "nvmlClocksEventReason"


class NvmlSensors(Readings):
    """NVIDIA's management library, for one device handle. `nvml` is the module `pynvml` of nvidia-ml-py, or a fake."""

    def __init__(self, nvml: ModuleType, handle: object) -> None:
        super().__init__("NVML", (nvml.NVMLError, nvml.NVMLLibraryMismatchError))
        self.nvml, self.handle = nvml, handle

    def energy_j(self) -> float | None:
        """Joules since the driver was loaded; the counter has millijoules and refreshes some ten times a second."""
        return self.read("energy_j", lambda: self.nvml.nvmlDeviceGetTotalEnergyConsumption(self.handle) / 1e3)

    def power_w(self) -> float | None:
        """Watts of the whole board."""
        return self.read("power_w", lambda: self.nvml.nvmlDeviceGetPowerUsage(self.handle) / 1e3)

    def clock_mhz(self) -> float | None:
        """Megahertz of the streaming multiprocessors."""
        return self.read(
            "clock_mhz", lambda: float(self.nvml.nvmlDeviceGetClockInfo(self.handle, self.nvml.NVML_CLOCK_SM))
        )

    def throttle(self) -> tuple[str, ...] | None:
        """Names of the clock event reasons that slow it down: `SwPowerCap`, `HwThermalSlowdown`, ..."""
        bits = self.read("throttle", lambda: self.nvml.nvmlDeviceGetCurrentClocksEventReasons(self.handle))
        return None if bits is None else tuple(name for name, bit in self._slowdowns() if bits & bit)

    def processes(self) -> tuple[int, ...] | None:
        """Other process ids with a compute context on it; in a container they may be those of the host."""
        found = self.read("processes", lambda: self.nvml.nvmlDeviceGetComputeRunningProcesses(self.handle))
        return None if found is None else tuple(sorted(p.pid for p in found if p.pid != os.getpid()))

    def identity(self) -> Mapping[str, object]:
        """Name, uuid, driver version, persistence, ECC and MIG modes; None where it does not say."""
        nvml, handle = self.nvml, self.handle
        return {
            "name": self.read("name", lambda: nvml.nvmlDeviceGetName(handle)),
            "uuid": self.read("uuid", lambda: nvml.nvmlDeviceGetUUID(handle)),
            "driver": self.read("driver", nvml.nvmlSystemGetDriverVersion),
            "persistence": self.read("persistence", lambda: bool(nvml.nvmlDeviceGetPersistenceMode(handle))),
            "ecc": self.read("ecc", lambda: bool(nvml.nvmlDeviceGetEccMode(handle)[0])),
            "mig": self.read("mig", lambda: bool(nvml.nvmlDeviceGetMigMode(handle)[0])),
        }

    def _slowdowns(self) -> list[tuple[str, int]]:
        names = (name for name in dir(self.nvml) if name.startswith(PREFIX))
        short = ((name.removeprefix(PREFIX), getattr(self.nvml, name)) for name in names)
        return [(name, bit) for name, bit in short if name not in HARMLESS]


def nvml_sensors(nvml: ModuleType, wanted: str) -> Sensors:
    """The sensors of the device of this uuid, or of the only one whose uuid starts so; none with the reason."""
    try:
        nvml.nvmlInit()
        handle = _handle(nvml, wanted)
    except (nvml.NVMLError, nvml.NVMLLibraryMismatchError) as error:
        return NullSensors(f"NVML: {error}")
    return NullSensors(f"NVML knows no device {wanted!r}") if handle is None else NvmlSensors(nvml, handle)


def nvml_names(nvml: ModuleType) -> tuple[str, ...]:
    """Names of the devices that the driver has; none without a driver, or with one too old to talk to."""
    try:
        nvml.nvmlInit()
        handles: list[object] = [nvml.nvmlDeviceGetHandleByIndex(i) for i in range(nvml.nvmlDeviceGetCount())]
        return tuple(str(nvml.nvmlDeviceGetName(handle)) for handle in handles)
    except (nvml.NVMLError, nvml.NVMLLibraryMismatchError):
        return ()


def _handle(nvml: ModuleType, wanted: str) -> object | None:
    if wanted.startswith("MIG-"):
        found: object = nvml.nvmlDeviceGetHandleByUUID(wanted)
        return found
    handles: list[object] = [nvml.nvmlDeviceGetHandleByIndex(i) for i in range(nvml.nvmlDeviceGetCount())]
    matching = [h for h in handles if _bare(nvml.nvmlDeviceGetUUID(h)).startswith(_bare(wanted))]
    return matching[0] if len(matching) == 1 else None


def _bare(uuid: str) -> str:
    return uuid.removeprefix("GPU-").lower()
