"""The parent's loop, with children that answer by script."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from attnprof.errors import AttnprofError
from attnprof.records import Cost, Record, plain
from attnprof.shapes import Shape
from attnprof.store import RunFolder
from attnprof.sweeps.outlook import Budget
from attnprof.sweeps.points import SweepRequest, plan
from attnprof.sweeps.run import sweep
from attnprof.sweeps.worker import Died
from tests.fakes.worker import COST, FakeWorker

PLENTY = 1 << 40
Special = Callable[[str, Mapping[str, Any]], Any]


def swept(
    path: Path,
    special: Special | None = None,
    *,
    ask: SweepRequest | None = None,
    free: int = PLENTY,
    budget: Budget | None = None,
    **more: Any,
) -> tuple[list[Record], list[FakeWorker]]:
    """The records of a sweep over two targets and lengths, and the children that answered."""
    jobs = plan(
        ask or SweepRequest(lengths=(64, 128), targets=("dense", "sliding_window"), shape=Shape(n=64, dim=16, heads=2))
    )
    workers: list[FakeWorker] = []

    def start(job: Any, log: Path) -> Any:
        workers.append(FakeWorker(job, special))
        return workers[-1]

    run = RunFolder.open(path) if (path / "run.json").exists() else RunFolder.create(path, {})
    with run.lock():
        sweep(jobs, run, budget or Budget(), lambda record: None, start=start, free_bytes=lambda: free, **more)
        return run.records(), workers


def test_every_point_is_counted_gated_and_measured_once(tmp_path: Path) -> None:
    records, workers = swept(tmp_path / "run")
    assert [(r.point.target, r.point.shape.n, r.point.pass_) for r in records] == [
        (target, n, pass_)
        for n in (64, 128)
        for target in ("dense", "sliding_window")
        for pass_ in ("forward", "train")
    ]
    assert {r.status for r in records} == {"ok"}
    assert all(r.measured and r.measured.wall_s for r in records)
    per_length = ["count", "gate", "measure"] * 2
    assert [what for what, _ in workers[0].asked] == per_length * 2
    assert [worker.closed for worker in workers] == [1, 1]


def test_a_finished_point_is_never_done_again(tmp_path: Path) -> None:
    first, _ = swept(tmp_path / "run")
    again, workers = swept(tmp_path / "run")
    assert again == first
    assert workers == []


def test_longer_sweeps_do_only_what_is_new(tmp_path: Path) -> None:
    swept(tmp_path / "run")
    ask = SweepRequest(lengths=(64, 128, 256), targets=("dense", "sliding_window"), shape=Shape(n=64, dim=16, heads=2))
    _, workers = swept(tmp_path / "run", ask=ask)
    assert {n for worker in workers for _, n in worker.asked} == {256}


def test_what_does_not_fit_is_predicted_with_its_bytes_and_never_run(tmp_path: Path) -> None:
    records, workers = swept(tmp_path / "run", free=1000)
    assert {r.status for r in records} == {"predicted_oom"}
    assert "1000 bytes" in records[0].reasons["measured"]
    assert all(r.cost is not None and r.measured is None for r in records)
    assert all(what == "count" for worker in workers for what, _ in worker.asked)


def test_what_takes_too_long_is_over_budget_by_extrapolation(tmp_path: Path) -> None:
    ask = SweepRequest(
        lengths=(64, 1 << 20), targets=("dense",), passes=("forward",), shape=Shape(n=64, dim=16, heads=2)
    )
    records, _ = swept(tmp_path / "run", ask=ask, budget=Budget(seconds=2.0))
    assert [r.status for r in records] == ["ok", "over_budget"]
    assert "1.05 s a run" in records[1].reasons["measured"]


def test_a_measured_peak_bounds_the_time_of_the_first_point(tmp_path: Path) -> None:
    records, _ = swept(tmp_path / "run", peak_flops_per_s=1.0)
    assert {r.status for r in records} == {"over_budget"}


def test_static_runs_nothing(tmp_path: Path) -> None:
    records, workers = swept(tmp_path / "run", static=True)
    assert {r.status for r in records} == {"ok"}
    assert all(what == "count" for worker in workers for what, _ in worker.asked)


@pytest.mark.parametrize(
    ("death", "status"),
    [
        (Died("killed by SIGKILL", signal=9), "oom"),
        (Died("killed by SIGSEGV", signal=11), "failed"),
        (Died("no answer within 1 s", timed_out=True), "timeout"),
    ],
)
def test_a_child_that_dies_costs_its_point_a_status_and_no_other(tmp_path: Path, death: Died, status: str) -> None:
    def special(what: str, request: Mapping[str, Any]) -> Any:
        fatal = what == "measure" and request["point"]["n"] == 64 and request["point"]["target"] == "dense"
        return death if fatal else None

    records, _ = swept(tmp_path / "run", special)
    assert [r.status for r in records] == [status, status, *["ok"] * 6]
    assert str(death) in records[0].reasons["measured"]


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


def test_an_unusable_input_ends_the_sweep_and_keeps_the_records(tmp_path: Path) -> None:
    def special(what: str, request: Mapping[str, Any]) -> Any:
        bad = request["point"]["n"] == 128
        return {"ok": False, "kind": "input", "message": "bad", "hint": "good"} if bad else None

    with pytest.raises(AttnprofError, match="bad"):
        swept(tmp_path / "run", special)
    assert len(RunFolder.open(tmp_path / "run").records()) == 4


def test_an_interrupt_ends_the_children_and_keeps_the_records(tmp_path: Path) -> None:
    made: list[FakeWorker] = []

    def special(what: str, request: Mapping[str, Any]) -> Any:
        if request["point"]["n"] == 128:
            raise KeyboardInterrupt
        return None

    def start(job: Any, log: Path) -> Any:
        made.append(FakeWorker(job, special))
        return made[-1]

    jobs = plan(SweepRequest(lengths=(64, 128), targets=("dense",), shape=Shape(n=64, dim=16, heads=2)))
    run = RunFolder.create(tmp_path / "run", {})
    with run.lock(), pytest.raises(KeyboardInterrupt):
        sweep(jobs, run, Budget(), lambda record: None, start=start, free_bytes=lambda: PLENTY)
    assert [worker.closed for worker in made] == [1]
    assert len(RunFolder.open(tmp_path / "run").records()) == 2


def test_a_total_that_is_unknown_is_measured_all_the_same(tmp_path: Path) -> None:
    def special(what: str, request: Mapping[str, Any]) -> Any:
        unknown = plain(Cost(peak_bytes=COST.peak_bytes))
        return {"cost": unknown, "reasons": {"flops_executed": "no formula for my::op"}} if what == "count" else None

    records, _ = swept(tmp_path / "run", special)
    assert {r.status for r in records} == {"ok"}
    assert records[0].reasons["flops_executed"] == "no formula for my::op"
