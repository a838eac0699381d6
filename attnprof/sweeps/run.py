"""The parent's loop: rounds of visits until the time is spent or every interval is tight. It is the only writer.

First every target's shortest point, the baselines' before all; then the baselines at every length; then every other
point once, forward before training and the longest length early, since that is what decides. From then on rounds: in
each a fresh child a target, targets and points in random order, the cheapest points first where not all fit.
"""

from __future__ import annotations

import itertools
import math
import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from attnprof.records import BASELINES, JsonObject, Record
from attnprof.stats import ROUNDS
from attnprof.store import RunFolder
from attnprof.sweeps.lane import ORDER, Lane, Start, Underway, start
from attnprof.sweeps.outlook import Budget, not_reached, too_long
from attnprof.sweeps.points import TargetPoints
from attnprof.sweeps.retrying import retried
from attnprof.sweeps.rounds import baselines_first, is_tight, shuffled
from attnprof.sweeps.visit import Roof, Visitor
from attnprof.sweeps.worker import Died
from attnprof.words import RecordKind, Status

OPEN = 8  # children that wait at once in the first round
PAGE_S, PAGE_SHARE = 10.0, 0.05  # kept back for the page until it is known what that takes
Watch = Callable[[Record], None]


@dataclass
class Surroundings:
    """What a sweep is given of the world, so that a test may give it another.

    `yardstick` measures the device's peaks once more, `told` is told of anything to be said, `page` is called when
    there is something new to show, `round_ended` when a further round is over (its number, the points that it visited,
    those whose interval is wide still). `began`: when the time of the whole began. `graphs`: patterns are analysed too.
    """

    watch: Watch
    start: Start = start
    clock: Callable[[], float] = time.monotonic
    began: float | None = None
    page: Callable[[], None] = lambda: None
    yardstick: Callable[[], JsonObject | None] = lambda: None
    beside: Callable[[], bool] = lambda: False
    told: Callable[[str], None] = lambda text: None
    round_ended: Callable[[int, int, int], None] = lambda number, visited, wide: None
    graphs: bool = False


def sweep(
    jobs: Sequence[TargetPoints],
    run: RunFolder,
    budget: Budget,
    given: Surroundings,
    *,
    static: bool = False,
    abreast: int = 1,
    seed: int = 0,
) -> None:
    """Visit every point that is worth it, and append its record after each visit.

    `static` leaves measuring out, and then `abreast` children may work at once. A child that dies costs its point a
    status, never another point its record. On KeyboardInterrupt the children are ended; what is recorded stays.
    """
    known = {record.key: record for record in run.written()}
    lanes = [
        Lane(
            job,
            given.start(job, run.path / "children.log"),
            [Underway.after(planned, known.get(planned.key)) for planned in job.points],
        )
        for job in jobs
    ]
    for lane in lanes:
        for standing in lane.points:
            lane.outlook.saw(standing.point, standing.cost, standing.measured)
            if standing.done and retried(standing, budget):
                standing.renew()
    graphs = {(r.point.target, r.point.shape.causal) for r in known.values() if r.kind is RecordKind.GRAPH}
    course = Course(lanes, run, budget, given, random.Random(seed), graphs)
    try:
        course.static(abreast) if static else course.measured()
    finally:
        for lane in lanes:
            lane.worker.close()


@dataclass
class Course:
    """One sweep on its way."""

    lanes: list[Lane]
    run: RunFolder
    budget: Budget
    given: Surroundings
    order: random.Random
    graphs: set[tuple[str, bool]]
    reserve_s: float = field(init=False)
    visitor: Visitor = field(init=False)
    deadline: float | None = field(init=False)

    def __post_init__(self) -> None:
        began = self.given.clock() if self.given.began is None else self.given.began
        self.deadline = None if self.budget.total_s is None else began + self.budget.total_s
        self.reserve_s = 0.0 if self.budget.total_s is None else min(PAGE_S, PAGE_SHARE * self.budget.total_s)
        points = sum(not standing.done for lane in self.lanes for standing in lane.points)
        roof = Roof(again=self._peak)
        self.visitor = Visitor(self.budget, self.budget.sampling_s(points), roof, self.given.beside, self.given.clock)

    def static(self, abreast: int) -> None:
        """Count every point that has no cost, and analyse every pattern that has no graph; a thread a lane."""
        from concurrent.futures import ThreadPoolExecutor, as_completed

        todo = [lane for lane in self.lanes if any(map(_uncounted, lane.points)) or self._unseen(lane)]
        if abreast == 1:
            for lane in todo:
                self._record(self._counted(lane))
            return
        with ThreadPoolExecutor(abreast) as pool:
            futures = [pool.submit(lambda own: list(self._counted(own)), lane) for lane in todo]
            for future in as_completed(futures):
                self._record(future.result())

    def measured(self) -> None:
        """Measure in rounds."""
        try:
            self._first_round()
            self._show()
            self._more_rounds()
        finally:
            self._record(self._left_over())

    def left_s(self) -> float:
        """Seconds that are left of the whole for measuring."""
        return math.inf if self.deadline is None else self.deadline - self.reserve_s - self.given.clock()

    def _first_round(self) -> None:
        self._measure_peak()
        ordered = baselines_first([(lane.job.name, lane) for lane in self.lanes], self.order)
        for lane in ordered:
            self._begin(lane)
        judges = [lane for lane in ordered if lane.job.name in BASELINES] or ordered[:1]
        self._once_more(judges)
        for lane in ordered:
            self._learn(lane)
        halfway_s = self.left_s() / 2
        for lane, standing in self._turns(ordered):
            if self.left_s() < halfway_s:
                self._once_more(judges)
            self._once(lane, standing)
        for lane in self.lanes:
            lane.worker.close()

    def _turns(self, ordered: Sequence[Lane]) -> Iterator[tuple[Lane, Underway]]:
        """The points in the order of the first round: all of the baselines, then pass by pass the longest first."""
        for lane in ordered:
            if lane.job.name in BASELINES:
                yield from ((lane, standing) for standing in lane.points)
        others = [lane for lane in ordered if lane.job.name not in BASELINES]
        for pass_ in ORDER:
            for n in _longest_first(others):
                for lane in shuffled(others, self.order):
                    for standing in lane.points:
                        if standing.point.pass_ is pass_ and standing.point.shape.n == n:
                            yield lane, standing

    def _once_more(self, judges: Sequence[Lane]) -> None:
        """One more process each for the first points of a few targets: what points of a single process are judged by.

        Once soon after their first and once halfway, so that a run whose time ends with its first round knows how far
        processes, and minutes, differ on this machine. Without a limit of time every point has its own rounds.
        """
        for lane in judges if self.deadline is not None else ():
            lacking = [s for s in lane.first if 0 < s.rounds < min(ROUNDS, self.budget.rounds) and not s.lost]
            if lacking:
                lane.worker.close()
            for standing in lacking:
                if standing.took_s <= self.left_s():
                    self.visitor.measure(lane, standing)
                    self._record([standing])
            if lacking:
                lane.worker.close()

    def _begin(self, lane: Lane) -> None:
        """A target's first points, which run whatever is predicted of them."""
        for standing in lane.first if self.left_s() > 0 else ():
            self._once(lane, standing, first=True)
        self._make_room(lane)

    def _learn(self, lane: Lane) -> None:
        """The cost and the graph of all points of a target."""
        if self.left_s() <= 0 or all(standing.done or standing.rounds for standing in lane.points):
            return
        for standing in lane.points:
            if self._open(standing) and not standing.counted and not self.visitor.count(lane, standing):
                self._record([standing])
        self._record(self._graphs(lane))
        self._make_room(lane)

    def _once(self, lane: Lane, standing: Underway, *, first: bool = False) -> None:
        """The first round of a point, where it has had none and there is time."""
        if not self._open(standing):
            return
        self.visitor.foresee(lane, standing)
        least = standing.forecast.least_s if standing.forecast else 0.0
        if self.left_s() <= 0 or (least > self.left_s() and not first):
            return
        if self.visitor.count(lane, standing):
            self.visitor.measure(lane, standing, first=first)
        self._record([standing])
        self._make_room(lane)

    def _more_rounds(self) -> None:
        for number in itertools.count(2):
            chosen = self._chosen()
            if not chosen:
                return
            self._measure_peak()
            visited = 0
            for lane in shuffled(self.lanes, self.order):
                for standing in shuffled([s for s in lane.points if id(s) in chosen], self.order):
                    if standing.took_s <= self.left_s():
                        self.visitor.measure(lane, standing)
                        self._record([standing])
                        visited += 1
                lane.worker.close()
            if not visited:
                return
            self.given.round_ended(number, visited, sum(1 for _ in self._wide()))
            self._show()

    def _chosen(self) -> set[int]:
        """The points of another round: those whose interval is not tight, the baselines and the cheapest first.

        As long as points lack rounds, no more of them are taken than can have all that they lack.
        """
        open_ = [
            (standing.rounds >= ROUNDS, lane.job.name not in BASELINES, standing.took_s, i, standing)
            for i, (lane, standing) in enumerate(self._wide())
            if not standing.lost and standing.rounds < self.budget.rounds
        ]
        lacking = max((ROUNDS - entry[-1].rounds for entry in open_), default=0)
        left, found = self.left_s() / max(1, lacking), set[int]()
        for *_, took, _, standing in sorted(open_, key=lambda entry: entry[:4]):
            left -= took
            if left > 0:
                found.add(id(standing))
        return found

    def _wide(self) -> Iterator[tuple[Lane, Underway]]:
        """The points that were measured and whose interval is not tight."""
        for lane in self.lanes:
            for standing in lane.points:
                if standing.rounds and not is_tight(standing.measured):
                    yield lane, standing

    def _show(self) -> None:
        """What is known by now, for a reader; what showing it takes is kept back for the last time."""
        began = self.given.clock()
        self.given.page()
        self.reserve_s = max(self.reserve_s, self.given.clock() - began)

    def _open(self, standing: Underway) -> bool:
        return not standing.done and not standing.rounds

    def _left_over(self) -> Iterator[Underway]:
        """The points that had no turn: they say so, and are tried again by the same command."""
        for lane in self.lanes:
            for standing in lane.points:
                if self._open(standing):
                    slow = too_long(standing.forecast, self.budget)
                    why = slow or not_reached(standing.forecast, self.budget)
                    standing.ends(Status.OVER_BUDGET, why, self.budget.total_s if slow else None)
                    yield standing

    def _counted(self, lane: Lane) -> Iterator[Underway | Record]:
        """Each point as it is counted, then the graphs of its target."""
        for standing in filter(_uncounted, lane.points):
            self.visitor.count(lane, standing)
            yield standing
        yield from self._graphs(lane)
        lane.worker.close()

    def _record(self, found: Iterable[Underway | Record]) -> None:
        for each in found:
            if isinstance(each, Record):  # a graph: no point of the plan is done by it
                self.run.append(each)
                continue
            record = each.record()
            self.run.append(record)
            self.given.watch(record)

    def _unseen(self, lane: Lane) -> list[Underway]:
        """The first point of each mask of a target that has a cost, and of which the run has no graph."""
        first: dict[bool, Underway] = {}
        for standing in lane.points:
            if self.given.graphs and standing.counted and standing.point.call is None:
                first.setdefault(standing.point.shape.causal, standing)
        return [standing for causal, standing in first.items() if (lane.job.name, causal) not in self.graphs]

    def _graphs(self, lane: Lane) -> Iterator[Record]:
        """The graph records of a target that the run lacks."""
        longest = max(standing.point.shape.n for standing in lane.points)
        for standing in self._unseen(lane):
            request = {"do": "graph", "point": standing.point.to_json(), "longest": longest}
            try:
                answer = lane.worker.ask(request, self.budget.timeout_s)
            except Died as death:
                answer = {"ok": False, "message": str(death)}
            if not answer["ok"]:
                self.given.told(f"no graph of {lane.job.name}: {answer['message']}")
            elif answer["record"] is not None:
                yield Record.from_json(answer["record"])

    def _make_room(self, last: Lane) -> None:
        """Close a child that waits, where there are many."""
        waiting = [lane for lane in self.lanes if lane is not last and lane.worker.running]
        for lane in waiting[: max(0, len(waiting) + 1 - OPEN)]:
            lane.worker.close()

    def _measure_peak(self) -> None:
        """The device's peaks at the beginning of a round: the roof, and how far the machine itself drifts."""
        self.visitor.roof.renew()

    def _peak(self) -> float | None:
        found = self.given.yardstick()
        if found is None:
            return None
        self.visitor.roof.dtype = str(found["dtype"])
        self.run.extend("yardsticks", dict(found))
        return float(found["matmul_flops_per_s"])


def _uncounted(standing: Underway) -> bool:
    return not standing.counted and not standing.done


def _longest_first(lanes: Sequence[Lane]) -> list[int]:
    """The lengths in the order of what they tell: the shortest, which says what to expect, the longest, the others."""
    lengths = sorted({standing.point.shape.n for lane in lanes for standing in lane.points})
    return list(dict.fromkeys(lengths[:1] + lengths[-1:] + lengths[1:]))
