"""AMD's management library of an imaginary machine: each function answers from a table, or raises."""

from __future__ import annotations

from typing import Any


class AmdSmiException(Exception):
    pass


class AmdSmiClkType:
    GFX = "gfx"


class FakeAmdSmi:
    """Stands in for the module `amdsmi`. `answers`: a value or an exception for a function, by the end of its name."""

    AmdSmiException = AmdSmiException
    AmdSmiClkType = AmdSmiClkType

    def __init__(self, *buses: str, **answers: Any) -> None:
        self.buses = buses or ("0000:C1:00.0",)
        self.answers = answers

    def amdsmi_init(self) -> None:
        self._answer("init", None)

    def amdsmi_get_processor_handles(self) -> tuple[str, ...]:
        return self.buses

    def amdsmi_get_gpu_device_bdf(self, handle: str) -> str:
        return handle

    def amdsmi_get_energy_count(self, handle: str) -> Any:
        return self._answer("energy", {"energy_accumulator": 2_000_000, "counter_resolution": 15.3, "timestamp": 1})

    def amdsmi_get_power_info(self, handle: str) -> Any:
        return self._answer("power", {"current_socket_power": 140, "average_socket_power": "N/A"})

    def amdsmi_get_clock_info(self, handle: str, kind: str) -> Any:
        assert kind == AmdSmiClkType.GFX
        return self._answer("clock", {"clk": 2100, "max_clk": 2100})

    def amdsmi_get_gpu_process_list(self, handle: str) -> Any:
        return self._answer("processes", [])

    def amdsmi_get_gpu_asic_info(self, handle: str) -> Any:
        return self._answer("asic", {"market_name": "Imaginary 300X"})

    def amdsmi_get_gpu_device_uuid(self, handle: str) -> Any:
        return self._answer("uuid", "c1ff-74a1")

    def amdsmi_get_gpu_driver_info(self, handle: str) -> Any:
        return self._answer("driver", {"driver_version": "6.12.12"})

    def _answer(self, name: str, default: Any) -> Any:
        value = self.answers.get(name, default)
        if isinstance(value, Exception):
            raise value
        return value
