"""The parent's end of a child process: start it, ask it, bury it.

Children are forked from a server that has torch loaded and has not used it, so that a child starts at once and the
parent never loads torch. Questions and answers travel as JSON.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from attnprof.sweeps.child import serve
from attnprof.sweeps.points import TargetPoints

PRELOADED = ["attnprof.sweeps.nursery"]
OPENING_S = 120.0
Serve = Callable[[Connection, str], None]


class Died(Exception):
    """A child ended, or was ended, before it answered. `signal` is what killed it, if anything did."""

    def __init__(self, message: str, *, signal: int | None = None, timed_out: bool = False) -> None:
        super().__init__(message)
        self.signal = signal
        self.timed_out = timed_out


class Worker:
    """One child for one target, started when first asked and started anew after it died."""

    def __init__(self, job: TargetPoints, log: Path | None = None, serve: Serve = serve) -> None:
        self.job = job
        self.log = log
        self.serve = serve
        self._process: Any = None
        self._pipe: Connection | None = None

    def ask(self, request: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
        """The child's answer. Raises `Died` where none comes within `timeout_s`; the next `ask` starts a new child."""
        if self._process is None:
            self._start()
            opened = self._exchange(self.job.opening(), OPENING_S)
            if not opened["ok"]:
                return opened
        return self._exchange(request, timeout_s)

    def close(self) -> None:
        """End the child and whatever it started."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()
        self._process.join()
        if self._pipe is not None:
            self._pipe.close()
        self._process = self._pipe = None

    def _start(self) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOADED)
        self._pipe, theirs = context.Pipe()
        log = str(self.log) if self.log else os.devnull
        self._process = context.Process(target=self.serve, args=(theirs, log), daemon=True)
        self._process.start()
        theirs.close()

    def _exchange(self, request: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
        assert self._pipe is not None
        try:
            self._pipe.send_bytes(json.dumps(request).encode())
            if not self._pipe.poll(timeout_s):
                self.close()
                raise Died(f"no answer within {timeout_s:.0f} s", timed_out=True)
            return json.loads(self._pipe.recv_bytes())
        except (EOFError, ConnectionError):
            raise self._buried() from None

    def _buried(self) -> Died:
        self._process.join()
        code = self._process.exitcode
        self.close()
        if code < 0:
            return Died(f"the process was killed by {signal.Signals(-code).name}", signal=-code)
        return Died(f"the process ended with exit code {code}")
