"""What a device says of itself: energy, power, clocks, throttling, who else uses it. A missing sensor is None."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

T = TypeVar("T")

HARMLESS = ("GpuIdle", "None", "All", "ApplicationsClocksSetting", "UserDefinedClocks", "DisplayClockSetting")
PREFIX = "nvmlClocksEventReason"


class Sensors(Protocol):
    """Readings of one device. A reading that it cannot give is None, and `reasons` says why, by the reading's name."""

    @property
    def reasons(self) -> Mapping[str, str]:
        """Why readings are missing, as far as they have been asked for."""
        ...

    def energy_j(self) -> float | None:
        """Joules that the whole board has used since an arbitrary start."""
        ...

    def power_w(self) -> float | None:
        """Watts that the whole board uses now."""
        ...

    def clock_mhz(self) -> float | None:
        """The clock of its cores now."""
        ...

    def throttle(self) -> tuple[str, ...] | None:
        """What holds its clocks back now; empty when nothing does."""
        ...

    def processes(self) -> tuple[int, ...] | None:
        """Process ids that compute on it, this process left out."""
        ...

    def identity(self) -> Mapping[str, Any]:
        """What it is: name, uuid, driver, persistence, ECC and MIG modes."""
        ...


class NullSensors:
    """No sensors, and why."""

    def __init__(self, why: str) -> None:
        self.why = why

    @property
    def reasons(self) -> Mapping[str, str]:
        """The same reason for every reading."""
        return dict.fromkeys(("energy_j", "power_w", "clock_mhz", "throttle", "processes"), self.why)

    def energy_j(self) -> float | None:
        """None."""
        return None

    def power_w(self) -> float | None:
        """None."""
        return None

    def clock_mhz(self) -> float | None:
        """None."""
        return None

    def throttle(self) -> tuple[str, ...] | None:
        """None."""
        return None

    def processes(self) -> tuple[int, ...] | None:
        """None."""
        return None

    def identity(self) -> Mapping[str, Any]:
        """Nothing."""
        return {}


class NvmlSensors:
    """NVIDIA's management library, for one device handle. `nvml` is the module `pynvml` of nvidia-ml-py, or a fake."""

    def __init__(self, nvml: Any, handle: Any) -> None:
        self.nvml, self.handle = nvml, handle
        self.reasons: dict[str, str] = {}

    def energy_j(self) -> float | None:
        """Joules since the driver was loaded; the counter has millijoules and refreshes some ten times a second."""
        return self._read("energy_j", lambda: self.nvml.nvmlDeviceGetTotalEnergyConsumption(self.handle) / 1e3)

    def power_w(self) -> float | None:
        """Watts of the whole board."""
        return self._read("power_w", lambda: self.nvml.nvmlDeviceGetPowerUsage(self.handle) / 1e3)

    def clock_mhz(self) -> float | None:
        """Megahertz of the streaming multiprocessors."""
        return self._read(
            "clock_mhz", lambda: float(self.nvml.nvmlDeviceGetClockInfo(self.handle, self.nvml.NVML_CLOCK_SM))
        )

    def throttle(self) -> tuple[str, ...] | None:
        """Names of the clock event reasons that slow it down: `SwPowerCap`, `HwThermalSlowdown`, ..."""
        bits = self._read("throttle", lambda: self.nvml.nvmlDeviceGetCurrentClocksEventReasons(self.handle))
        return None if bits is None else tuple(name for name, bit in self._slowdowns() if bits & bit)

    def processes(self) -> tuple[int, ...] | None:
        """Other process ids with a compute context on it; in a container they may be those of the host."""
        found = self._read("processes", lambda: self.nvml.nvmlDeviceGetComputeRunningProcesses(self.handle))
        return None if found is None else tuple(sorted(p.pid for p in found if p.pid != os.getpid()))

    def identity(self) -> Mapping[str, Any]:
        """Name, uuid, driver version, persistence, ECC and MIG modes; None where it does not say."""
        nvml, handle = self.nvml, self.handle
        return {
            "name": self._read("name", lambda: nvml.nvmlDeviceGetName(handle)),
            "uuid": self._read("uuid", lambda: nvml.nvmlDeviceGetUUID(handle)),
            "driver": self._read("driver", nvml.nvmlSystemGetDriverVersion),
            "persistence": self._read("persistence", lambda: bool(nvml.nvmlDeviceGetPersistenceMode(handle))),
            "ecc": self._read("ecc", lambda: bool(nvml.nvmlDeviceGetEccMode(handle)[0])),
            "mig": self._read("mig", lambda: bool(nvml.nvmlDeviceGetMigMode(handle)[0])),
        }

    def _slowdowns(self) -> list[tuple[str, int]]:
        names = (name for name in dir(self.nvml) if name.startswith(PREFIX))
        short = ((name.removeprefix(PREFIX), getattr(self.nvml, name)) for name in names)
        return [(name, bit) for name, bit in short if name not in HARMLESS]

    def _read(self, name: str, call: Callable[[], T]) -> T | None:
        try:
            value = call()
        except (self.nvml.NVMLError, self.nvml.NVMLLibraryMismatchError) as error:
            self.reasons[name] = f"NVML: {error}"
            return None
        self.reasons.pop(name, None)
        return value


def open_sensors(
    device: str,
    *,
    nvml: Any = None,
    uuid: str | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Sensors:
    """The sensors of a torch device: NVML's for CUDA, found by uuid and never by index, else none with the reason.

    `uuid` is what CUDA calls the device (asked of torch when None); it decides unless `CUDA_VISIBLE_DEVICES` names one.
    """
    if not device.startswith("cuda"):
        return NullSensors(f"no sensor is read on {device}")
    if nvml is None:
        import pynvml as nvml
    try:
        nvml.nvmlInit()
        handle = _handle(nvml, _wanted(device, uuid, environ))
    except (nvml.NVMLError, nvml.NVMLLibraryMismatchError) as error:
        return NullSensors(f"NVML: {error}")
    return (
        NullSensors(f"NVML knows no device that CUDA calls {device}") if handle is None else NvmlSensors(nvml, handle)
    )


def _wanted(device: str, uuid: str | None, environ: Mapping[str, str]) -> str:
    """The uuid, or the unique start of one, of a device that CUDA numbers among the visible ones."""
    index = int(device.partition(":")[2] or 0)
    visible = [entry.strip() for entry in environ.get("CUDA_VISIBLE_DEVICES", "").split(",")]
    if index < len(visible) and visible[index].startswith(("GPU-", "MIG-")):
        return visible[index]
    return uuid or _torch_uuid(index)


def _torch_uuid(index: int) -> str:
    import torch

    return str(getattr(torch.cuda.get_device_properties(index), "uuid", ""))


def _handle(nvml: Any, wanted: str) -> Any | None:
    if wanted.startswith("MIG-"):
        return nvml.nvmlDeviceGetHandleByUUID(wanted)
    handles = [nvml.nvmlDeviceGetHandleByIndex(i) for i in range(nvml.nvmlDeviceGetCount())]
    matching = [h for h in handles if _bare(nvml.nvmlDeviceGetUUID(h)).startswith(_bare(wanted))]
    return matching[0] if len(matching) == 1 else None


def _bare(uuid: str) -> str:
    return uuid.removeprefix("GPU-").lower()


def threatened(found: Sequence[str] | None, others: Sequence[int] | None) -> dict[str, str]:
    """Flags that readings of a device raise, each with its reason: `throttled`, `shared_device`."""
    raised = {}
    if found:
        raised["throttled"] = f"the device held its clocks back: {', '.join(found)}"
    if others:
        raised["shared_device"] = f"other processes compute on the device: {', '.join(map(str, others))}"
    return raised
