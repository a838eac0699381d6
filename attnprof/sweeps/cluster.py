"""A sweep on other machines: one submitit job a target, on Slurm or, for a trial, in processes here.

A job is told what to do as JSON, sweeps its own points into a run of its own below the sweep's folder, and the parent
takes those records over: a job that dies loses nothing that it finished, and the same command resumes it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from attnprof.errors import AttnprofError
from attnprof.records import JsonObject, Record, content_hash
from attnprof.store import HEADER, RunFolder
from attnprof.sweeps.outlook import Budget
from attnprof.sweeps.points import TargetPoints, label
from attnprof.sweeps.run import Surroundings, sweep
from attnprof.units import Value
from attnprof.words import Executor, RecordKind

if TYPE_CHECKING:
    import submitit

POLL_S = 0.5


class Handle(Protocol):
    """What submitit gives for a job."""

    def done(self) -> bool: ...
    def exception(self) -> BaseException | None: ...
    def cancel(self) -> object: ...


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
) -> list[str]:
    """Do every point that the run has no finished record of, one submitit job a target, and take the records over.

    `options` are submitit's (`slurm_partition`, `timeout_min`, `gpus_per_node`, ...). Returns a line for each job that
    ended without finishing, whose records are taken over all the same; the same call does what is left. Where this is
    interrupted, the jobs are ended. Raises `AttnprofError` where there is no such cluster.
    """
    done = run.keys()
    todo = [_without(job, done) for job in jobs if any(planned.key not in done for planned in job.points)]
    made = _executor(run.path / "jobs", executor, {"timeout_min": 24 * 60, **(options or {})})
    limits = dataclasses.asdict(budget)
    failed: list[str] = []
    sent: list[tuple[TargetPoints, Handle]] = []
    try:
        for job in todo:
            try:
                given = (json.dumps(job.to_json()), str(folder_of(run, job)), limits, static, graphs)
                sent.append((job, made.submit(carry_out, *given)))
            except (RuntimeError, OSError, subprocess.SubprocessError) as error:
                failed.append(f"{job.target}: cannot be submitted: {_last_line(str(error))}")
        while sent:
            for job, handle in [pair for pair in sent if _is_over(pair[1])]:
                sent.remove((job, handle))
                why = _why_early(handle)
                left = _take_over(run, folder_of(run, job), job, watch)
                if why or left:
                    failed.append(f"{job.target}: {why or f'{left} points have no record: is {run.path} shared?'}")
            time.sleep(POLL_S if sent else 0)
    finally:
        for job, handle in sent:  # interrupted: nobody would take over what they do from now on
            with contextlib.suppress(Exception):
                handle.cancel()
            _take_over(run, folder_of(run, job), job, watch)
    return failed


def _is_over(handle: Handle) -> bool:
    try:
        return handle.done()
    except Exception:  # submitit's, or the system's: `_why_early` says which
        return True


def _why_early(handle: Handle) -> str:
    """Why a job ended without finishing, in one line; nothing where it finished."""
    try:
        error = handle.exception()
    except Exception as lost:
        return f"its result cannot be read: {type(lost).__name__}: {_last_line(str(lost))}"
    if error is None:
        return ""
    text = str(error)
    state = re.search(r"\(state: ([^)]*)\)", text)
    if state:
        return f"it ended without a result, in state {state[1]}"
    trace = text.split(RULE)  # what submitit says, the job's own trace, where its logs are
    return _last_line(trace[1] if len(trace) > 1 else text)


RULE = "-" * 22


def _last_line(text: str) -> str:
    """What an error or a traceback ends with: its last line that is not set in, which a hint is."""
    lines = [line.rstrip() for line in text.splitlines() if line.strip("- ")]
    outer = [line for line in lines if not line.startswith(" ")]
    return (outer or lines or ["it does not say why"])[-1].strip()


def folder_of(run: RunFolder, job: TargetPoints) -> Path:
    """Where a job keeps its own run: named by its target, its parameters and what computes it."""
    settings = content_hash([job.target, dict(job.params), job.impl, job.usage.to_json()])
    return run.path / "jobs" / f"{label(job.target)}-{settings[:8]}"


def carry_out(job: str, folder: str, budget: JsonObject, static: bool, graphs: bool) -> None:
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


def _take_over(run: RunFolder, folder: Path, job: TargetPoints, watch: Callable[[Record], None]) -> int:
    """Add what a job recorded to the run; how many of its points have no record."""
    known = run.keys()
    try:
        found = RunFolder.open(folder).written() if (folder / HEADER).exists() else []
    except AttnprofError:  # damaged, which the job says too
        found = []
    for record in found:
        if record.key not in known:
            run.append(record)
            if record.kind is not RecordKind.GRAPH:
                watch(record)
    return len({planned.key for planned in job.points} - {record.key for record in found})


def _executor(folder: Path, name: str, options: JsonObject) -> submitit.AutoExecutor:
    try:
        import submitit
    except ImportError as error:  # a bare machine, Windows
        raise AttnprofError(f"submitit cannot be imported: {error}", hint="pip install submitit, or no --on") from error
    try:
        made = submitit.AutoExecutor(folder=str(folder / "logs"), cluster=name)
        made.update_parameters(name="attnprof", **options)
    except (RuntimeError, NameError, ValueError, OSError) as error:
        raise AttnprofError(
            f"cannot submit to {name}: {error}", hint=f"--on {' or '.join(Executor.values())}"
        ) from error
    return made
