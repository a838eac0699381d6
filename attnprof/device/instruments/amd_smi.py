"""AMD's devices: which the kernel shows, and what each says of itself through AMD SMI where that is installed."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

from attnprof.device.instruments.sensors import NullSensors, Readings, Sensors

DRIVER = Path("/dev/kfd")
NODES = Path("/sys/class/kfd/kfd/topology/nodes")


class AmdSensors(Readings):
    """AMD SMI, for one processor handle. `smi` is the module `amdsmi`, or a fake."""

    def __init__(self, smi: ModuleType, handle: object) -> None:
        # older versions of the library answer in other shapes
        super().__init__("AMD SMI", (smi.AmdSmiException, Unread, KeyError, TypeError))
        self.smi, self.handle = smi, handle

    def energy_j(self) -> float | None:
        """Joules since the driver was loaded: ticks of the accumulator times their size in microjoules."""
        return self.read("energy_j", self._energy)

    def power_w(self) -> float | None:
        """Watts of the whole board now, or on average where it measures no more."""
        return self.read("power_w", self._power)

    def clock_mhz(self) -> float | None:
        """Megahertz of the compute units."""
        kind = self.smi.AmdSmiClkType.GFX
        return self.read("clock_mhz", lambda: number(self.smi.amdsmi_get_clock_info(self.handle, kind), "clk"))

    def throttle(self) -> tuple[str, ...] | None:
        """None: what AMD SMI says of it has no name that is the same on every device."""
        self.reasons["throttle"] = "AMD SMI: what holds the clocks back is not read"
        return None

    def processes(self) -> tuple[int, ...] | None:
        """Other process ids that compute on it."""
        return self.read("processes", self._others)

    def identity(self) -> Mapping[str, object]:
        """Name, uuid and driver version; None where it does not say, and for modes that it has not."""
        smi, handle = self.smi, self.handle
        return {
            "name": self.read("name", lambda: smi.amdsmi_get_gpu_asic_info(handle)["market_name"]),
            "uuid": self.read("uuid", lambda: smi.amdsmi_get_gpu_device_uuid(handle)),
            "driver": self.read("driver", lambda: smi.amdsmi_get_gpu_driver_info(handle)["driver_version"]),
            "persistence": None,
            "ecc": None,
            "mig": None,
        }

    def _others(self) -> tuple[int, ...]:
        found = [int(process["pid"]) for process in self.smi.amdsmi_get_gpu_process_list(self.handle)]
        return tuple(sorted(pid for pid in found if pid != os.getpid()))

    def _energy(self) -> float:
        found = self.smi.amdsmi_get_energy_count(self.handle)
        return number(found, "energy_accumulator", "power") * number(found, "counter_resolution") / 1e6

    def _power(self) -> float:
        return number(self.smi.amdsmi_get_power_info(self.handle), "current_socket_power", "average_socket_power")


class Unread(Exception):
    """AMD SMI answered without a number."""


def number(found: Mapping[str, object], *names: str) -> float:
    """The first of these entries that is a number: the library writes `N/A`, and older ones other names."""
    for name in names:
        value = found.get(name)
        if isinstance(value, (int, float)):
            return float(value)
    raise Unread(f"no {names[0]}")


def amd_sensors(bus: str, smi: ModuleType | None = None) -> Sensors:
    """The sensors of the device at this PCI address (`0000:c1:00.0`); none with the reason."""
    if smi is None:
        try:
            smi = importlib.import_module("amdsmi")
        except (ImportError, OSError) as error:  # the package, or the library behind it
            return NullSensors(f"AMD SMI cannot be loaded: {error}")
    try:
        smi.amdsmi_init()
        handles = [h for h in smi.amdsmi_get_processor_handles() if smi.amdsmi_get_gpu_device_bdf(h).lower() == bus]
    except smi.AmdSmiException as error:
        return NullSensors(f"AMD SMI: {error}")
    return AmdSensors(smi, handles[0]) if handles else NullSensors(f"AMD SMI knows no device at {bus}")


def amd_names(nodes: Path = NODES, driver: Path = DRIVER) -> tuple[str, ...]:
    """Names of the devices that the kernel's driver shows, by their architecture; none without the driver."""
    if not driver.exists():
        return ()
    files = sorted(nodes.glob("*/properties"), key=lambda file: int(file.parent.name))
    versions = (_properties(file).get("gfx_target_version") for file in files)
    return tuple(architecture(version) for version in versions if version)  # a processor's node has 0


def architecture(version: int) -> str:
    """The name of a version as the driver writes it: 90402 is gfx942, 90010 is gfx90a."""
    return f"AMD gfx{version // 10000}{version // 100 % 100:x}{version % 100:x}"


def _properties(file: Path) -> dict[str, int]:
    try:
        pairs = [line.split() for line in file.read_text().splitlines()]
    except OSError:  # a device that belongs to others
        return {}
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}
