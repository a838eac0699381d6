"""A clock that reads from a script: nothing sleeps, every second is counted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from typing import Any

from attnprof.device.instruments.clock import Step


class ScriptedClock:
    """Each pass takes the next seconds of the script, shared equally by its steps; other host time by `spend`."""

    name = "scripted"

    def __init__(self, script: Iterable[float]) -> None:
        self._script: Iterator[float] = iter(script)
        self.time = 0.0
        self.passes = 0

    @classmethod
    def steady(cls, seconds: float) -> ScriptedClock:
        return cls(repeat(seconds))

    def now(self) -> float:
        return self.time

    def spend(self, seconds: float) -> None:
        self.time += seconds

    def laps(self, steps: Sequence[Step]) -> tuple[float, ...]:
        for step in steps:
            step()
        seconds = next(self._script)
        self.time += seconds
        self.passes += 1
        return (seconds / len(steps),) * len(steps)


class FakeDevice:
    """A device with a queue: work is only done, and events only stamped, as time passes on it."""

    def __init__(self) -> None:
        self.time_s = 0.0
        self.synchronized = False
        self.log: list[str] = []

    def work(self, seconds: float, name: str = "work") -> None:
        self.synchronized = False
        self.time_s += seconds
        self.log.append(name)

    def new_event(self) -> FakeEvent:
        return FakeEvent(self)

    def synchronize(self) -> None:
        self.synchronized = True


class FakeEvent:
    def __init__(self, device: FakeDevice) -> None:
        self.device = device
        self.stamp: float | None = None

    def record(self) -> None:
        self.stamp = self.device.time_s
        self.device.log.append("event")

    def elapsed_time(self, end: Any) -> float:
        if not self.device.synchronized:
            raise RuntimeError("the device has not been synchronised")
        return (end.stamp - self.stamp) * 1e3
