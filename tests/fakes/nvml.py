"""The management library of an imaginary machine: each function answers from a table, or raises."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple


class NVMLError(Exception):
    pass


class NVMLLibraryMismatchError(Exception):
    """As in the real module, not a kind of NVMLError."""


class Process(NamedTuple):
    pid: int


class FakeNvml:
    """Stands in for the module `pynvml`. `answers`: a value, an exception or a list of them for a reading."""

    NVMLError = NVMLError
    NVMLLibraryMismatchError = NVMLLibraryMismatchError
    NVML_CLOCK_SM = 1
    nvmlClocksEventReasonGpuIdle = 1
    nvmlClocksEventReasonApplicationsClocksSetting = 2
    nvmlClocksEventReasonSwPowerCap = 4
    nvmlClocksEventReasonHwThermalSlowdown = 64
    nvmlClocksEventReasonAll = 127
    nvmlClocksEventReasonNone = 0

    def __init__(self, uuids: Iterable[str] = ("GPU-aa11",), **answers: Any) -> None:
        self.uuids = tuple(uuids)
        self.answers = answers
        self.asked: list[str] = []

    def nvmlInit(self) -> None:
        self._answer("nvmlInit", None)

    def nvmlDeviceGetCount(self) -> int:
        return len(self.uuids)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> str:
        return self.uuids[index]

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:
        self.asked.append(uuid)
        return uuid

    def nvmlDeviceGetUUID(self, handle: str) -> str:
        return handle

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: str) -> int:
        return self._answer("energy", 0)

    def nvmlDeviceGetPowerUsage(self, handle: str) -> int:
        return self._answer("power", 71_500)

    def nvmlDeviceGetClockInfo(self, handle: str, kind: int) -> int:
        assert kind == self.NVML_CLOCK_SM
        return self._answer("clock", 1755)

    def nvmlDeviceGetCurrentClocksEventReasons(self, handle: str) -> int:
        return self._answer("reasons", 0)

    def nvmlDeviceGetComputeRunningProcesses(self, handle: str) -> list[Process]:
        return [Process(pid) for pid in self._answer("pids", [()])]

    def nvmlDeviceGetName(self, handle: str) -> str:
        return self._answer("name", "Imaginary 100")

    def nvmlSystemGetDriverVersion(self) -> str:
        return self._answer("driver", "575.1")

    def nvmlDeviceGetPersistenceMode(self, handle: str) -> int:
        return self._answer("persistence", 1)

    def nvmlDeviceGetEccMode(self, handle: str) -> list[int]:
        return self._answer("ecc", [[1, 1]])

    def nvmlDeviceGetMigMode(self, handle: str) -> list[int]:
        return self._answer("mig", NVMLError("Not Supported"))

    def _answer(self, name: str, default: Any) -> Any:
        value = self.answers.get(name, default)
        if isinstance(value, list):
            value = value.pop(0) if len(value) > 1 else value[0]
        if isinstance(value, Exception):
            raise value
        return value
