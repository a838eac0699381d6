"""The parent's loop, with children that answer by script."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from attnprof.interval import Interval
from attnprof.records import BASELINES, Cost, Measured, Point, Record, plain
from attnprof.shapes import Shape
from attnprof.store import RunFolder
from attnprof.sweeps.graphs import graph_of
from attnprof.sweeps.lane import Underway
from attnprof.sweeps.outlook import Budget
from attnprof.sweeps.points import SweepRequest, plan
from attnprof.sweeps.retrying import retried
from attnprof.sweeps.run import Surroundings, sweep
from attnprof.sweeps.worker import Died
from attnprof.targets import door
from attnprof.words import Pass, Status
from tests.fakes.worker import COST, FakeWorker

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
        return run.records(), world.workers


def asked(workers: list[FakeWorker], *kinds: str) -> list[tuple[str, int]]:
    """What the children were asked, of these kinds, in order of each child."""
    return [(what, n) for worker in workers for what, n in worker.asked if what in kinds]


def test_every_point_is_counted_gated_and_measured_once(tmp_path: Path) -> None:
    records, workers = swept(tmp_path / "run")
    assert sorted((r.point.target, r.point.shape.n, r.point.pass_) for r in records) == sorted(
        (target, n, pass_)
        for n in (64, 128)
        for target in ("dense", "sliding_window")
        for pass_ in ("forward", "train")
    )
    assert {r.status for r in records} == {"ok"}
    assert all(r.measured and r.measured.wall_s for r in records)
    assert all("few_rounds" in r.flags for r in records)
    for kind in ("count", "gate", "measure"):
        assert sorted(n for _, n in asked(workers, kind)) == [64] * 4 + [128] * 4


def test_first_points_come_before_all_and_baselines_before_others(tmp_path: Path) -> None:
    world = World()
    swept(
        tmp_path / "run", world=world, ask=asked_for("longformer", "flash", "bigbird", "dense", lengths=(64, 128, 256))
    )
    order = [(r.point.target, r.point.shape.n, r.point.pass_) for r in world.records]
    first = [target for target, n, pass_ in order if (n, pass_) == (64, "forward")]
    assert [(n, pass_) for _, n, pass_ in order[: len(first)]] == [(64, "forward")] * len(first)
    assert set(first[:2]) == {"dense", "flash"}
    after = [target in ("dense", "flash") for target, *_ in order[len(first) :]]
    assert after == sorted(after, reverse=True)
    others = [(pass_, n) for target, n, pass_ in order if target == "bigbird"]
    assert others == [
        *(("forward", 64), ("forward", 256), ("forward", 128)),
        *(("train", 64), ("train", 256), ("train", 128)),
    ]


def test_the_end_of_each_further_round_is_told(tmp_path: Path) -> None:
    """Two points that swing for ever, and two that are tight after three rounds."""
    swings, told = itertools.cycle((1.0, 2.0)), list[tuple[int, int, int]]()

    def special(what: str, request: Mapping[str, Any]) -> Any:
        if what == "measure" and request["point"]["n"] == 128:
            seconds = next(swings)
            return {"measured": plain(Measured(wall_s=Interval(seconds, seconds, seconds, ((seconds,),))))}
        return None

    ask = asked_for("linear", "sliding_window", passes=(Pass.FORWARD,))
    swept(tmp_path / "run", special, ask=ask, budget=Budget(rounds=5), round_ended=lambda *round_: told.append(round_))
    assert told == [(2, 4, 4), (3, 4, 2), (4, 2, 2), (5, 2, 2)]


def test_points_that_were_timed_beside_another_sweep_are_flagged(tmp_path: Path) -> None:
    """It comes when every second visit is over."""
    asked_whether = itertools.cycle((False, True))
    records, _ = swept(tmp_path / "run", beside=lambda: next(asked_whether), ask=asked_for("linear", "longformer"))
    assert ["other_sweep" in record.flags for record in records].count(True) == len(records) / 2


def test_each_round_has_a_fresh_child_a_target_and_another_order(tmp_path: Path) -> None:
    world = World()
    records, workers = swept(tmp_path / "run", world=world, budget=Budget(rounds=4))
    assert {len(r.measured.wall_s.rounds) for r in records if r.measured and r.measured.wall_s} == {3}
    assert all("few_rounds" not in r.flags for r in records)
    assert [worker.closed for worker in workers] == [3, 3]
    assert len(asked(workers, "count")) == len(asked(workers, "gate")) == 8  # once, however many rounds
    rounds = [tuple(r.key for r in world.records[at : at + 8]) for at in (8, 16)]
    assert set(rounds[0]) == set(rounds[1])
    assert rounds[0] != rounds[1]
    assert len(world.pages) >= 3


def test_rounds_go_on_only_where_an_interval_is_wide(tmp_path: Path) -> None:
    noisy = iter(range(10**6))

    def special(what: str, request: Mapping[str, Any]) -> Any:
        if what == "measure" and request["point"]["n"] == 128:
            seconds = 1.0 + next(noisy) % 2
            return {"measured": plain(Measured(wall_s=Interval(seconds, seconds, seconds, ((seconds,),))))}
        return None

    records, _ = swept(tmp_path / "run", special, budget=Budget(rounds=6))
    rounds = {(r.point.shape.n, len(r.measured.wall_s.rounds)) for r in records if r.measured and r.measured.wall_s}
    assert rounds == {(64, 3), (128, 6)}


def test_the_same_command_refines_and_a_tight_run_is_left_alone(tmp_path: Path) -> None:
    first, _ = swept(tmp_path / "run")
    again, workers = swept(tmp_path / "run", budget=Budget(rounds=3))
    assert len(again) == len(first)
    assert {len(r.measured.wall_s.rounds) for r in again if r.measured and r.measured.wall_s} == {3}
    assert not asked(workers, "count", "gate")
    third, workers = swept(tmp_path / "run", budget=Budget(rounds=9))
    assert third == again
    assert not asked(workers, "measure")


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


@pytest.mark.parametrize("total", [20.0, 60.0, 300.0])
def test_a_run_ends_in_time_and_every_point_says_what_became_of_it(tmp_path: Path, total: float) -> None:
    world = Slow(0.05)
    ask = asked_for("dense", "flash", "longformer", "linear", lengths=(64, 128, 256, 512, 1024))
    records, _ = swept(tmp_path / "run", world=world, ask=ask, budget=Budget(total_s=total, rounds=5))
    assert world.time <= 1.1 * total
    assert world.pages
    assert len(records) == sum(len(job.points) for job in plan(ask))
    left_out = [r for r in records if r.status == "over_budget"]
    assert all(r.reasons["measured"].startswith("time: ") and r.cost for r in left_out)
    assert bool(left_out) is (total < 300)
    assert all(r.measured for r in records if (r.point.shape.n, r.point.pass_) == (64, "forward"))


def test_a_run_too_short_for_a_second_round_still_knows_how_far_processes_differ(tmp_path: Path) -> None:
    """The first points of the baselines have the rounds that the rest is judged by: soon, and halfway."""
    world = Slow(0.05)
    ask = asked_for("dense", "flash", "longformer", "linear", lengths=(64, 128, 256, 512, 1024))
    records, _ = swept(tmp_path / "run", world=world, ask=ask, budget=Budget(total_s=60.0, rounds=5))
    rounds = {
        r.key: (r.point.target in BASELINES, r.point.shape.n, r.point.pass_, len(r.measured.wall_s.rounds))
        for r in records
        if r.measured and r.measured.wall_s
    }
    assert {count for *point, count in rounds.values() if point != [True, 64, "forward"]} == {1}
    assert {count for *point, count in rounds.values() if point == [True, 64, "forward"]} == {3}
    visited = [r.point for r in world.records if r.measured]
    seen = [(point.target, point.shape.n, point.pass_) == ("dense", 64, "forward") for point in visited]
    assert max(at for at, is_judge in enumerate(seen) if is_judge) > len(seen) // 2


def test_what_had_no_turn_is_done_by_the_same_command(tmp_path: Path) -> None:
    ask = asked_for("dense", "longformer", lengths=(64, 128, 256, 512))
    count = []
    for _ in range(4):
        records, _ = swept(tmp_path / "run", world=Slow(0.1), ask=ask, budget=Budget(total_s=16.0, rounds=1))
        count.append(sum(r.measured is not None for r in records))
    assert count == sorted(count)
    assert (count[0] < 16, count[-1]) == (True, 16)


def test_a_run_longer_than_its_share_is_told_in_seconds_and_tried_with_more_time(tmp_path: Path) -> None:
    ask = asked_for("dense", lengths=(64, 1 << 16), passes=("forward",))
    records, _ = swept(tmp_path / "run", world=Slow(0.01), ask=ask, budget=Budget(total_s=60.0, rounds=1))
    assert [r.status for r in records] == ["ok", "over_budget"]
    why = records[1].reasons["measured"]
    assert why.startswith("time: predicted 10.2 s (")
    assert "measuring it takes 61.4 s at least (--time 103)" in why
    assert records[1].forecast is not None
    assert records[1].forecast.run_s == pytest.approx(10.24)
    again, workers = swept(tmp_path / "run", world=Slow(0.01), ask=ask, budget=Budget(total_s=60.0, rounds=1))
    assert (again, asked(workers, "measure")) == (records, [])
    more, _ = swept(tmp_path / "run", world=Slow(0.01), ask=ask, budget=Budget(total_s=103.0, rounds=1))
    assert [r.status for r in more] == ["ok", "ok"]
    assert more[1].forecast == records[1].forecast


def test_a_first_point_always_runs(tmp_path: Path) -> None:
    records, _ = swept(
        tmp_path / "run",
        world=Slow(1e3),
        ask=asked_for("dense", lengths=(64,), passes=("forward",)),
        budget=Budget(total_s=1),
    )
    assert {r.status for r in records} == {"ok"}


def test_a_time_below_the_roofline_is_no_measurement(tmp_path: Path) -> None:
    slow_roof = {"matmul_flops_per_s": 1e10, "copy_bytes_per_s": 1e10, "dtype": "float32"}
    world = World(
        lambda what, request: {"cost": plain(COST) | {"flops_executed": 10**9}} if what == "count" else None, slow_roof
    )
    records, _ = swept(tmp_path / "run", world=world)
    assert {r.status for r in records} == {"failed"}
    assert "below the roofline" in records[0].reasons["measured"]
    assert len(RunFolder.open(tmp_path / "run").header["yardsticks"]) > 1


def test_a_clock_that_is_not_the_parents_is_no_measurement(tmp_path: Path) -> None:
    lie = {"took_s": 0.001, "here_s": 30.0}
    records, _ = swept(tmp_path / "run", lambda what, request: lie if what == "measure" else None)
    assert {r.status for r in records} == {"failed"}
    assert "0.00 s by its own clock, 30.00 s by the parent's" in records[0].reasons["measured"]


def test_longer_sweeps_do_only_what_is_new(tmp_path: Path) -> None:
    swept(tmp_path / "run")
    _, workers = swept(tmp_path / "run", ask=asked_for("dense", "sliding_window", lengths=(64, 128, 256)))
    assert {n for _, n in asked(workers, "count", "gate", "measure")} == {256}


def test_what_does_not_fit_is_predicted_with_its_bytes_and_never_run(tmp_path: Path) -> None:
    records, workers = swept(tmp_path / "run", lambda what, request: {"bytes": 1000} if what == "free" else None)
    assert {r.status for r in records} == {"predicted_oom"}
    assert "1000 bytes" in records[0].reasons["measured"]
    assert all(r.cost is not None and r.measured is None for r in records)
    assert not asked(workers, "gate", "measure")


@pytest.mark.parametrize(
    ("status", "limit", "budget", "expected"),
    [
        ("failed", None, Budget(), True),
        ("killed", None, Budget(), True),
        ("unsupported", None, Budget(), False),
        ("ok", None, Budget(), False),
        ("timeout", 60.0, Budget(timeout_s=60.0), False),
        ("timeout", 60.0, Budget(timeout_s=61.0), True),
        ("over_budget", 60.0, Budget(total_s=60.0), False),
        ("over_budget", 60.0, Budget(total_s=90.0), True),
        ("over_budget", None, Budget(total_s=10.0), True),
        ("oom", 1.0, Budget(), True),
        ("oom", 1e15, Budget(), False),
    ],
)
def test_a_status_that_depends_on_a_limit_is_tried_again_when_that_is_another(
    status: str, limit: float | None, budget: Budget, expected: bool
) -> None:
    (job,) = plan(asked_for("dense", lengths=(64,), passes=("forward",)))
    standing = Underway(job.points[0], cost=COST, status=Status(status), limit=limit)
    assert retried(standing, budget) is expected


def test_static_runs_nothing(tmp_path: Path) -> None:
    records, workers = swept(tmp_path / "run", static=True)
    assert {r.status for r in records} == {"ok"}
    assert all(what == "count" for worker in workers for what, _ in worker.asked)


@pytest.mark.parametrize("static", [True, False])
def test_what_is_costed_is_seen_once_under_each_mask(tmp_path: Path, static: bool) -> None:
    def special(what: str, request: Mapping[str, Any]) -> Any:
        if what != "graph":
            return None
        point = Point.from_json(request["point"])
        record = graph_of(door.find(point.target), point, request["longest"])
        return {"record": record and record.to_json()}

    both = asked_for("dense", "sliding_window", "sparse_strided", passes=(Pass.FORWARD,))
    for again in (False, True):
        world = World(special, graphs=True)
        records, workers = swept(tmp_path / "run", ask=both, world=world, static=static, abreast=2)
        seen = [(r.point.target, r.point.shape.causal, r.point.shape.n) for r in records if r.kind == "graph"]
        assert set(seen) == {(r.point.target, r.point.shape.causal, 128) for r in records if r.kind == "cost"}
        assert len(set(seen)) == len(seen) == 4  # dense under both masks, the others under their own
        assert len(asked(workers, "graph")) == (0 if again else 4)


@pytest.mark.parametrize(
    ("death", "status"),
    [
        (Died("killed by SIGKILL", signal=9), "killed"),
        (Died("killed by SIGKILL, for want of memory", signal=9, oom=True), "oom"),
        (Died("killed by SIGSEGV", signal=11), "failed"),
        (Died("no answer within 1 s", timed_out=True), "timeout"),
    ],
)
def test_a_child_that_dies_costs_its_point_a_status_and_no_other(tmp_path: Path, death: Died, status: str) -> None:
    def special(what: str, request: Mapping[str, Any]) -> Any:
        fatal = what == "measure" and request["point"]["n"] == 64 and request["point"]["target"] == "dense"
        return death if fatal else None

    records, _ = swept(tmp_path / "run", special)
    by = {(r.point.target, r.point.shape.n): r for r in records}
    assert {k for k, r in by.items() if r.status == status} == {("dense", 64)}
    assert {r.status for k, r in by.items() if k != ("dense", 64)} == {"ok"}
    assert str(death) in by["dense", 64].reasons["measured"]


def test_a_child_that_dies_in_a_later_round_leaves_what_was_measured(tmp_path: Path) -> None:
    visits: list[int] = []

    def special(what: str, request: Mapping[str, Any]) -> Any:
        if what == "measure" and request["point"]["n"] == 128:
            visits.append(1)
            return Died("killed by SIGKILL", signal=9) if len(visits) > 4 else None
        return None

    records, _ = swept(tmp_path / "run", special, budget=Budget(rounds=4))
    lost = [r for r in records if r.point.shape.n == 128]
    assert {r.status for r in records} == {"ok"}
    assert all("round_lost" in r.flags and r.measured and r.measured.wall_s for r in lost)
    assert "killed: measure: killed by SIGKILL" in lost[0].reasons["round_lost"]


def test_a_scheme_that_is_not_its_reference_is_never_timed(tmp_path: Path) -> None:
    def special(what: str, request: Mapping[str, Any]) -> Any:
        return {"reasons": {"gate_forward": "off by 1"}} if what == "gate" else None

    records, workers = swept(tmp_path / "run", special)
    assert {r.status for r in records} == {"failed"}
    assert "off by 1" in records[0].reasons["measured"]
    assert all(what != "measure" for worker in workers for what, _ in worker.asked)


def test_unsupported_is_a_result_with_its_reason(tmp_path: Path) -> None:
    def special(what: str, request: Mapping[str, Any]) -> Any:
        return {"ok": False, "kind": "unsupported", "message": "no causal form", "hint": ""}

    records, _ = swept(tmp_path / "run", special)
    assert {r.status for r in records} == {"unsupported"}
    assert records[0].reasons["cost"] == "no causal form"
    assert records[0].cost is None


def test_an_input_that_is_unusable_costs_its_own_point(tmp_path: Path) -> None:
    def special(what: str, request: Mapping[str, Any]) -> Any:
        bad = request["point"]["n"] == 128 and request["point"]["target"] == "dense"
        return {"ok": False, "kind": "input", "message": "bad", "hint": "good"} if bad else None

    records, _ = swept(tmp_path / "run", special)
    failed = [r for r in records if r.status == "failed"]
    assert {(r.point.target, r.point.shape.n) for r in failed} == {("dense", 128)}
    assert failed[0].reasons["cost"] == "bad (good)"
    assert len(records) == 8


def test_an_interrupt_ends_the_children_and_keeps_the_records(tmp_path: Path) -> None:
    def special(what: str, request: Mapping[str, Any]) -> Any:
        if what == "gate" and request["point"]["n"] == 128:
            raise KeyboardInterrupt
        return None

    world = World(special)
    with pytest.raises(KeyboardInterrupt):
        swept(tmp_path / "run", world=world, ask=asked_for("dense"))
    assert [worker.running for worker in world.workers] == [False]
    records = RunFolder.open(tmp_path / "run").records()
    assert [r.status for r in records] == ["ok", "ok", "over_budget", "over_budget"]
    assert "the same command goes on" in records[-1].reasons["measured"]


def test_a_total_that_is_unknown_is_measured_all_the_same(tmp_path: Path) -> None:
    def special(what: str, request: Mapping[str, Any]) -> Any:
        unknown = plain(Cost(peak_bytes=COST.peak_bytes))
        return {"cost": unknown, "reasons": {"flops_executed": "no formula for my::op"}} if what == "count" else None

    records, _ = swept(tmp_path / "run", special)
    assert {r.status for r in records} == {"ok"}
    assert records[0].reasons["flops_executed"] == "no formula for my::op"
