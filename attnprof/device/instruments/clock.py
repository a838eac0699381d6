"""Clocks: how long consecutive steps take, on the host or by events on an accelerator."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from time import perf_counter_ns  # bound before any user's code runs, which may put another in its place
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch

Step = Callable[[], object]


def now() -> float:
    """Host seconds since an arbitrary start."""
    return perf_counter_ns() / 1e9


class Clock(Protocol):
    """Times steps that run one after the other on one device."""

    @property
    def name(self) -> str:
        """How the seconds were read, for the record."""
        ...

    def now(self) -> float:
        """Host seconds since an arbitrary start: what a budget is spent in."""
        ...

    def laps(self, steps: Sequence[Step]) -> tuple[float, ...]:
        """Seconds that each step took. What was queued before ends before the first begins, all before this returns."""
        ...


class HostClock:
    """The monotonic clock of the host, for work that is done when a call returns."""

    name = "perf_counter_ns"

    def now(self) -> float:
        """Host seconds since an arbitrary start."""
        return perf_counter_ns() / 1e9

    def laps(self, steps: Sequence[Step]) -> tuple[float, ...]:
        """Seconds that each step took."""
        marks = [perf_counter_ns()]
        for step in steps:
            step()
            marks.append(perf_counter_ns())
        return tuple((after - before) / 1e9 for before, after in itertools.pairwise(marks))


class AcceleratorClock:
    """Device events recorded between the steps, read after one synchronisation.

    `new_event` makes an event with `record()` and `elapsed_time(other) -> milliseconds`. Whatever was queued before
    (a cache being cleared, say) ends before the first event and is not timed.
    """

    name = "device events"

    def __init__(self, new_event: Callable[[], torch.Event], synchronize: Callable[[], None]) -> None:
        self._new_event, self._synchronize = new_event, synchronize

    def now(self) -> float:
        """Host seconds since an arbitrary start."""
        return perf_counter_ns() / 1e9

    def laps(self, steps: Sequence[Step]) -> tuple[float, ...]:
        """Seconds on the device between the events around each step."""
        events = [self._new_event() for _ in range(len(steps) + 1)]
        events[0].record()
        for step, event in zip(steps, events[1:], strict=True):
            step()
            event.record()
        self._synchronize()
        return tuple(before.elapsed_time(after) / 1e3 for before, after in itertools.pairwise(events))
