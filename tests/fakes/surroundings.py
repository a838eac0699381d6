"""A sweep's surroundings, with children that answer by script and a clock that stands still."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from attnprof.interval import Interval
from attnprof.records import Measured, Record, plain
from attnprof.shapes import Shape
from attnprof.store import RunFolder
from attnprof.sweeps.outlook import Budget
from attnprof.sweeps.points import SweepRequest, plan
from attnprof.sweeps.run import Surroundings, sweep
from tests.fakes.worker import FakeWorker

Special = Callable[[str, Mapping[str, Any]], Any]


class World:
    """A sweep's surroundings in which nothing takes time but what is said to."""

    def __init__(self, special: Special | None = None, yardstick: Any = None, *, graphs: bool = False) -> None:
        self.workers: list[FakeWorker] = []
        self.time = 0.0
        self.records: list[Record] = []
        self.pages: list[float] = []
        self.special = special or (lambda what, request: None)
        self.yardstick = yardstick
        self.graphs = graphs

    def given(self, **more: Any) -> Surroundings:
        """The surroundings."""
        return Surroundings(
            self.records.append,
            start=self.start,
            clock=lambda: self.time,
            page=lambda: self.pages.append(self.time),
            yardstick=lambda: self.yardstick,
            graphs=self.graphs,
            **more,
        )

    def start(self, job: Any, log: Path) -> Any:
        """A child that answers by script."""
        self.workers.append(FakeWorker(job, self.special))
        return self.workers[-1]


def asked_for(*targets: str, lengths: tuple[int, ...] = (64, 128), **more: Any) -> SweepRequest:
    """A small sweep."""
    return SweepRequest(lengths=lengths, targets=targets, shape=Shape(n=64, dim=16, heads=2), **more)


def swept(
    path: Path,
    special: Special | None = None,
    *,
    ask: SweepRequest | None = None,
    budget: Budget | None = None,
    world: World | None = None,
    round_ended: Callable[[int, int, int], None] = lambda number, visited, wide: None,
    beside: Callable[[], bool] = lambda: False,
    **more: Any,
) -> tuple[list[Record], list[FakeWorker]]:
    """The records of a sweep over two targets and lengths, and the children that answered."""
    jobs = plan(ask or asked_for("dense", "sliding_window"))
    world = world or World(special)
    run = RunFolder.open(path) if (path / "run.json").exists() else RunFolder.create(path, {})
    with run.lock():
        sweep(jobs, run, budget or Budget(rounds=1), world.given(round_ended=round_ended, beside=beside), **more)
        return run.written(), world.workers


def asked(workers: list[FakeWorker], *kinds: str) -> list[tuple[str, int]]:
    """What the children were asked, of these kinds, in order of each child."""
    return [(what, n) for worker in workers for what, n in worker.asked if what in kinds]


class Slow(World):
    """A world in which a run takes `run_s`, times n / 64, and a visit six of them."""

    def __init__(self, run_s: float) -> None:
        super().__init__(self.answer)
        self.run_s = run_s

    def answer(self, what: str, request: Mapping[str, Any]) -> Any:
        """A run takes time."""
        if what != "measure":
            return None
        seconds = self.run_s * request["point"]["n"] / 64
        self.time += 6 * seconds
        return {"measured": plain(Measured(wall_s=Interval(seconds, seconds, seconds, ((seconds,) * 3,))))}
