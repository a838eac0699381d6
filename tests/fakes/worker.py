"""A child that answers by a script: no process, no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attnprof.interval import Interval
from attnprof.records import Cost, Measured, plain
from attnprof.sweeps.points import TargetPoints
from attnprof.sweeps.worker import Died

Answers = Callable[[Mapping[str, Any]], Mapping[str, Any]]
COST = Cost(flops_executed=1_000_000, peak_bytes=1000, param_bytes=10, buffer_bytes=0)


class FakeWorker:
    """Answers `count`, `gate` and `measure`; `special` may answer in their place, or raise `Died`."""

    asked: list[tuple[str, int]]
    closed: int
    running: bool

    def __init__(self, job: TargetPoints, special: Callable[[str, Mapping[str, Any]], Any] | None = None) -> None:
        self.job = job
        self.special = special or (lambda what, request: None)
        self.asked = []
        self.closed = 0
        self.running = False

    def ask(self, request: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
        """The scripted answer."""
        what, n = request["do"], request["point"]["n"]
        self.asked.append((what, n))
        self.running = True
        answer = self.special(what, request)
        if isinstance(answer, Died):
            raise answer
        return {"ok": True, "reasons": {}, "flags": [], **self._usual(what, n), **(answer or {})}

    def close(self) -> None:
        """Count how often it was ended."""
        self.closed += self.running
        self.running = False

    def _usual(self, what: str, n: int) -> dict[str, Any]:
        if what == "count":
            return {"cost": plain(COST) | {"flops_executed": 1000 * n}}
        if what == "measure":
            seconds = n * 1e-6
            return {"measured": plain(Measured(wall_s=Interval(seconds, seconds, seconds, ((seconds,) * 3,))))}
        return {"bytes": 1 << 40} if what == "free" else {}
