"""The parent's loop, with children that answer by script."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from attnprof.interval import Interval
from attnprof.records import Cost, Measured, Point, plain
from attnprof.sweeps.graphs import graph_of
from attnprof.sweeps.outlook import Budget
from attnprof.targets import door
from attnprof.words import Pass
from tests.fakes.surroundings import World, asked, asked_for, swept
from tests.fakes.worker import COST


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


def test_longer_sweeps_do_only_what_is_new(tmp_path: Path) -> None:
    swept(tmp_path / "run")
    _, workers = swept(tmp_path / "run", ask=asked_for("dense", "sliding_window", lengths=(64, 128, 256)))
    assert {n for _, n in asked(workers, "count", "gate", "measure")} == {256}


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


def test_a_total_that_is_unknown_is_measured_all_the_same(tmp_path: Path) -> None:
    def special(what: str, request: Mapping[str, Any]) -> Any:
        unknown = plain(Cost(peak_bytes=COST.peak_bytes))
        return {"cost": unknown, "reasons": {"flops_executed": "no formula for my::op"}} if what == "count" else None

    records, _ = swept(tmp_path / "run", special)
    assert {r.status for r in records} == {"ok"}
    assert records[0].reasons["flops_executed"] == "no formula for my::op"


def test_every_target_has_a_point_before_all_points_of_any_are_counted(tmp_path: Path) -> None:
    """Counts of all points take longer than the first points: a short run would end with a few targets."""
    world = World()
    ask = asked_for("dense", "longformer", "linear", "bigbird", lengths=(64, 128, 256))

    def counts_take_time(what: str, request: Mapping[str, Any]) -> Any:
        world.time += {"count": 1.0, "measure": 0.1}.get(what, 0.0)

    world.special = counts_take_time
    records, _ = swept(tmp_path / "run", world=world, ask=ask, budget=Budget(total_s=7.0))
    measured = {r.point.target for r in records if r.measured}
    assert measured == {"dense", "longformer", "linear", "bigbird"}
    assert any(r.kind == "cost" and r.cost is None for r in records)
