"""A sweep within the time that it is given."""

from __future__ import annotations

from pathlib import Path

import pytest

from attnprof.records import BASELINES
from attnprof.sweeps.outlook import Budget
from attnprof.sweeps.points import plan
from tests.fakes.surroundings import Slow, asked, asked_for, swept


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
