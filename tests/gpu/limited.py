"""A process with a time limit, ended with all that it started."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

MARK = "ATTNPROF_GPU_STEP"
ORDERLY_S = 10.0


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended: its exit code (negative: the signal), how long it took, whether the limit ended it."""

    code: int
    wall_s: float
    timed_out: bool


def run_limited(
    command: Sequence[str],
    log: Path,
    limit_s: float,
    *,
    env: Mapping[str, str] = os.environ,
    cwd: Path | None = None,
    interrupt: bool = False,
) -> Ended:
    """Run a command with its output at the end of `log`; at the limit it is ended, and so is whatever it left behind.

    Descendants are known by a mark in their environment, since a sweep's children lead sessions of their own.
    `interrupt` asks by SIGINT first, for what writes its results when it is stopped.
    """
    mark, began = uuid.uuid4().hex, time.monotonic()
    inherited = {**env, MARK: f"{env.get(MARK, '')}/{mark}"}
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            env=inherited,
            cwd=cwd,
            preexec_fn=_hear_interrupts,
        )
        timed_out = not _ends(process, limit_s)
        if timed_out and interrupt:
            process.send_signal(signal.SIGINT)
            _ends(process, ORDERLY_S)
        end_marked(mark)
        code = process.wait()
    return Ended(code, time.monotonic() - began, timed_out)


def _hear_interrupts() -> None:
    """What a shell starts in the background ignores SIGINT, and so would all that it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def marked(mark: str) -> list[psutil.Process]:
    """The processes whose environment has the mark: a process and all its descendants, orphans too."""
    found = []
    for process in psutil.process_iter():
        try:
            if mark in process.environ().get(MARK, ""):
                found.append(process)
        except psutil.Error:
            continue  # another user's, or gone
    return found


def end_marked(mark: str) -> None:
    """Kill them, until none is left that could start another."""
    for _ in range(10):
        left = [process for process in marked(mark) if process.status() != psutil.STATUS_ZOMBIE]
        for process in left:
            _kill(process)
        if not left:
            return
        psutil.wait_procs(left, timeout=1)


def _kill(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return


def _ends(process: subprocess.Popen[bytes], within_s: float) -> bool:
    try:
        process.wait(within_s)
    except subprocess.TimeoutExpired:
        return False
    return True
