"""What a device says of itself: energy, power, clocks, throttling, who else uses it. A missing sensor is None."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

T = TypeVar("T")


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

    def identity(self) -> Mapping[str, object]:
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

    def identity(self) -> Mapping[str, object]:
        """Nothing."""
        return {}


class Readings:
    """Readings of a vendor's library: one that raises an error of the library's is None, with what it says."""

    def __init__(self, library: str, errors: tuple[type[Exception], ...]) -> None:
        self.library, self.errors = library, errors
        self.reasons: dict[str, str] = {}

    def read(self, name: str, call: Callable[[], T]) -> T | None:
        """The reading of this name, or None and its reason."""
        try:
            value = call()
        except self.errors as error:
            self.reasons[name] = f"{self.library}: {error}"
            return None
        self.reasons.pop(name, None)
        return value
