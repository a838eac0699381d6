"""The parent's end of a child process: start it, ask it, bury it."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from attnprof.sweep.plan import Job

COMMAND = (sys.executable, "-m", "attnprof.sweep.child")


class Died(Exception):
    """A child ended, or was ended, before it answered. `signal` is what killed it, if anything did."""

    def __init__(self, message: str, *, signal: int | None = None, timed_out: bool = False) -> None:
        super().__init__(message)
        self.signal = signal
        self.timed_out = timed_out


class Worker:
    """One child for one target, started when first asked and started anew after it died."""

    def __init__(self, job: Job, log: Path | None = None, command: tuple[str, ...] = COMMAND) -> None:
        self.job = job
        self.log = log
        self.command = command
        self._process: subprocess.Popen[str] | None = None

    def ask(self, request: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
        """The child's answer. Raises `Died` where none comes within `timeout_s`; the next `ask` starts a new child."""
        if self._process is None:
            self._start()
            opened = self._exchange(self.job.opening(), timeout_s=120.0)
            if not opened["ok"]:
                return opened
        return self._exchange(request, timeout_s)

    def close(self) -> None:
        """End the child and whatever it started."""
        if self._process is not None:
            _kill(self._process)
            self._process = None

    def _start(self) -> None:
        errors: IO[str] | int = self.log.open("a") if self.log else subprocess.DEVNULL
        self._process = subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )

    def _exchange(self, request: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
        except BrokenPipeError:
            raise self._buried(process) from None
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            ready = selector.select(timeout_s)
        if not ready:
            self.close()
            raise Died(f"no answer within {timeout_s:.0f} s", timed_out=True)
        line = process.stdout.readline()
        if not line.endswith("\n"):
            raise self._buried(process)
        return json.loads(line)

    def _buried(self, process: subprocess.Popen[str]) -> Died:
        code = process.wait()
        self.close()
        if code < 0:
            return Died(f"the process was killed by {signal.Signals(-code).name}", signal=-code)
        return Died(f"the process ended with exit code {code}")


def _kill(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
