"""Points that have no time, and why: children that die, answers that are refused, what is tried again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from attnprof.records import plain
from attnprof.store import RunFolder
from attnprof.sweeps.lane import Underway
from attnprof.sweeps.outlook import Budget
from attnprof.sweeps.points import plan
from attnprof.sweeps.retrying import retried
from attnprof.sweeps.worker import Died
from attnprof.words import Status
from tests.fakes.surroundings import World, asked, asked_for, swept
from tests.fakes.worker import COST


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
    records = RunFolder.open(tmp_path / "run").written()
    assert [r.status for r in records] == ["ok", "ok", "over_budget", "over_budget"]
    assert "the same command goes on" in records[-1].reasons["measured"]
