"""Sweeps that leave the machine, with submitit's executors that do not."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from submitit.core.utils import FailedSubmissionError, UncompletedJobError

from attnprof.errors import AttnprofError
from attnprof.records import Record
from attnprof.shapes import Shape
from attnprof.store import RunFolder
from attnprof.sweeps import cluster
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


NODE_FAIL = """Job 7 (task: 0) with path /shared/7_0_result.pkl
has not produced any output (state: NODE_FAIL)
No output/error stream produced ! Check: /shared/7_0_log.out"""


class Scripted:
    """A job that does its work when it is asked for the second time, or ends as it is told to."""

    def __init__(self, work: Callable[[], object], ends: object = None, *, kept: int = 1_000_000) -> None:
        self.work, self.ends, self.kept = work, ends, kept
        self.asked, self.cancelled = 0, False

    def done(self) -> bool:
        self.asked += 1
        if self.ends is KeyboardInterrupt:
            raise KeyboardInterrupt
        if self.asked == 2:
            self.work()
        return self.asked >= 2

    def exception(self) -> BaseException | None:
        if isinstance(self.ends, OSError):
            raise self.ends
        return self.ends if isinstance(self.ends, BaseException) else None

    def cancel(self) -> None:
        self.cancelled = True


class Cluster:
    """An executor whose jobs end by a script, one entry a target."""

    def __init__(self, script: Mapping[str, object]) -> None:
        self.script, self.sent = script, list[Scripted]()

    def submit(self, work: Callable[..., object], job: str, *given: object) -> Scripted:
        target = json.loads(job)["target"]
        ends = self.script.get(target)
        if isinstance(ends, FailedSubmissionError):
            raise ends
        self.sent.append(Scripted(lambda: ends == "elsewhere" or partly(work, job, given, whole=not ends), ends))
        return self.sent[-1]


def partly(work: Callable[..., object], job: str, given: Sequence[object], *, whole: bool) -> object:
    """A job carried out to its end, or up to its first point."""
    points = TargetPoints.from_json(json.loads(job))
    kept = points if whole else dataclasses.replace(points, points=points.points[:1])
    return work(json.dumps(kept.to_json()), *given)


def test_jobs_that_end_early_cost_a_line_each_and_the_same_call_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node that dies, a result that nobody can read, a folder that is not shared, a queue that is shut."""
    script = {
        "dense": UncompletedJobError(NODE_FAIL),
        "linformer": FileNotFoundError(2, "No such file or directory"),
        "longformer": "elsewhere",
        "linear": FailedSubmissionError(
            "sbatch: error: Batch job submission failed:\nsbatch: error: invalid partition"
        ),
    }
    fake, run = Cluster(script), RunFolder.create(tmp_path / "run", {})
    monkeypatch.setattr(cluster, "_executor", lambda *_: fake)
    monkeypatch.setattr(cluster, "POLL_S", 0.0)
    asked, seen = jobs(*script, "bigbird"), list[Record]()
    with run.lock():
        failed = submit(asked, run, Budget(), seen.append, executor="slurm", static=True)
        assert [text.replace(str(run.path), "RUN") for text in failed] == [
            "linear: cannot be submitted: sbatch: error: invalid partition",
            "dense: it ended without a result, in state NODE_FAIL",
            "linformer: its result cannot be read: FileNotFoundError: [Errno 2] No such file or directory",
            "longformer: 4 points have no record: is RUN shared?",
        ]
        assert Counter(r.point.target for r in seen) == {"dense": 1, "linformer": 1, "bigbird": 4}
        script.clear()
        assert submit(asked, run, Budget(), seen.append, executor="slurm", static=True) == []
    assert len(fake.sent) == 4 + 4  # bigbird is not sent again
    assert Counter(r.point.target for r in seen) == {job.target: len(job.points) for job in asked}


def test_an_interrupt_ends_the_jobs_and_keeps_what_they_did(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake, run = Cluster({"linformer": KeyboardInterrupt}), RunFolder.create(tmp_path / "run", {})
    monkeypatch.setattr(cluster, "_executor", lambda *_: fake)
    with run.lock(), pytest.raises(KeyboardInterrupt):
        submit(jobs("dense", "linformer"), run, Budget(), lambda record: None, executor="slurm", static=True)
    assert [job.cancelled for job in fake.sent] == [True, True]


def test_a_real_job_that_fails_and_one_that_is_killed_are_a_line_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Processes on this machine: one finds its folder damaged, one is killed as soon as it has begun."""
    asked, run = jobs("dense", "linformer"), RunFolder.create(tmp_path / "run", {})
    damaged = cluster.folder_of(run, asked[0])
    damaged.mkdir(parents=True)
    (damaged / "run.json").write_text("{")
    made = cluster._executor

    def killing(*given: Any) -> Any:
        executor = made(*given)

        def sent(work: Any, job: str, *more: Any) -> Any:
            handle = executor.submit(work, job, *more)
            if json.loads(job)["target"] == "linformer":
                handle._process.kill()
            return handle

        return SimpleNamespace(submit=sent)

    monkeypatch.setattr(cluster, "_executor", killing)
    with run.lock():
        failed = submit(asked, run, Budget(), lambda record: None, executor="local", static=True)
    assert sorted(failed) == [
        f"dense: attnprof.errors.AttnprofError: {damaged / 'run.json'} is corrupt: it is not a JSON object",
        "linformer: it ended without a result, in state INTERRUPTED",
    ]


def test_a_cluster_that_is_not_there_is_said(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", {})
    with run.lock(), pytest.raises(AttnprofError, match="cannot submit to slurm"):
        submit(jobs("dense"), run, Budget(), lambda record: None, executor="slurm", static=True)
