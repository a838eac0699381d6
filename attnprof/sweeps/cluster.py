"""A sweep on other machines: one submitit job a target, on Slurm or, for a trial, in processes here.

A job is told what to do as JSON, sweeps its own points into a run of its own below the sweep's folder, and the parent
takes those records over: a job that dies loses nothing that it finished, and the same command resumes it.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from attnprof.errors import AttnprofError
from attnprof.records import Record, content_hash
from attnprof.store import HEADER, RunFolder
from attnprof.sweeps.outlook import Budget
from attnprof.sweeps.points import TargetPoints, label
from attnprof.sweeps.run import Surroundings, sweep
from attnprof.units import Value
from attnprof.words import Executor, RecordKind

POLL_S = 0.5


def submit(
    jobs: Sequence[TargetPoints],
    run: RunFolder,
    budget: Budget,
    watch: Callable[[Record], None],
    *,
    executor: str,
    options: Mapping[str, Value] | None = None,
    static: bool = False,
    graphs: bool = False,
) -> None:
    """Do every point that the run has no finished record of, one submitit job a target, and take the records over.

    `options` are submitit's (`slurm_partition`, `timeout_min`, `gpus_per_node`, ...). Raises `AttnprofError` where a
    job ended without finishing; what it recorded is taken over first.
    """
    done = run.keys()
    todo = [_without(job, done) for job in jobs if any(planned.key not in done for planned in job.points)]
    made = _executor(run.path / "jobs", executor, {"timeout_min": 24 * 60, **(options or {})})
    limits = dataclasses.asdict(budget)
    sent = [
        (job, made.submit(carry_out, json.dumps(job.to_json()), str(folder_of(run, job)), limits, static, graphs))
        for job in todo
    ]
    failed = []
    while sent:
        for job, handle in [pair for pair in sent if pair[1].done()]:
            _take_over(run, folder_of(run, job), watch)
            if handle.exception() is not None:
                failed.append(f"{job.target}: {str(handle.exception()).strip().splitlines()[-1]}")
            sent.remove((job, handle))
        time.sleep(POLL_S if sent else 0)
    if failed:
        raise AttnprofError(f"{len(failed)} jobs ended early: {'; '.join(failed)}", hint=f"see {run.path / 'jobs'}")


def folder_of(run: RunFolder, job: TargetPoints) -> Path:
    """Where a job keeps its own run: named by its target, its parameters and what computes it."""
    settings = content_hash([job.target, dict(job.params), job.impl, job.usage.to_json()])
    return run.path / "jobs" / f"{label(job.target)}-{settings[:8]}"


def carry_out(job: str, folder: str, budget: Mapping[str, Any], static: bool, graphs: bool) -> None:
    """What a job does on its machine: sweep its points into `folder`, with children as everywhere."""
    path = Path(folder)
    with (RunFolder.open(path) if (path / HEADER).exists() else RunFolder.create(path, {})).lock() as run:
        sweep(
            [TargetPoints.from_json(json.loads(job))],
            run,
            Budget(**budget),
            Surroundings(lambda record: None, graphs=graphs),
            static=static,
        )


def _without(job: TargetPoints, done: set[str]) -> TargetPoints:
    return dataclasses.replace(job, points=tuple(p for p in job.points if p.key not in done))


def _take_over(run: RunFolder, folder: Path, watch: Callable[[Record], None]) -> None:
    if not (folder / HEADER).exists():
        return
    known = run.keys()
    for record in RunFolder.open(folder).records():
        if record.key not in known:
            run.append(record)
            if record.kind is not RecordKind.GRAPH:
                watch(record)


def _executor(folder: Path, name: str, options: Mapping[str, Any]) -> Any:
    import submitit

    try:
        made = submitit.AutoExecutor(folder=str(folder / "logs"), cluster=name)
        made.update_parameters(name="attnprof", **options)
    except (RuntimeError, NameError, ValueError) as error:
        raise AttnprofError(
            f"cannot submit to {name}: {error}", hint=f"--on {' or '.join(Executor.values())}"
        ) from error
    return made
