"""Sweeps that leave the machine, with submitit's executors that do not."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import pytest

from attnprof.errors import AttnprofError
from attnprof.records import Record
from attnprof.shapes import Shape
from attnprof.store import RunFolder
from attnprof.sweeps.cluster import submit
from attnprof.sweeps.outlook import Budget
from attnprof.sweeps.points import SweepRequest, TargetPoints, plan


def jobs(*targets: str) -> tuple[TargetPoints, ...]:
    """Small jobs that only count."""
    return plan(SweepRequest(lengths=(64, 96), targets=targets, shape=Shape(n=64, dim=16, heads=2), device="none"))


def test_a_job_travels_as_text() -> None:
    (job,) = jobs("longformer")
    assert TargetPoints.from_json(json.loads(json.dumps(job.to_json()))) == job


@pytest.mark.parametrize("executor", ["debug", "local"])
def test_the_records_of_all_jobs_are_taken_over_once(tmp_path: Path, executor: str) -> None:
    run, seen = RunFolder.create(tmp_path / "run", {}), list[Record]()
    with run.lock():
        for _ in range(2):
            submit(jobs("dense", "linformer"), run, Budget(), seen.append, executor=executor, static=True, graphs=True)
        records = [r for r in run.records() if r.kind == "cost"]
        graphs = [r.point.target for r in run.records() if r.kind == "graph"]
    expected = product(("dense", "linformer"), (64, 96), ("forward", "train"), ("ok",))
    assert sorted((r.point.target, r.point.shape.n, r.point.pass_, r.status) for r in records) == list(expected)
    assert seen == records
    assert sorted(graphs) == ["dense", "linformer"]


def test_a_cluster_that_is_not_there_is_said(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", {})
    with run.lock(), pytest.raises(AttnprofError, match="cannot submit to slurm"):
        submit(jobs("dense"), run, Budget(), lambda record: None, executor="slurm", static=True)
