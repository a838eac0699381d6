"""The parent's end of a child process: start it, ask it, bury it.

Children are forked from a server that has torch loaded and has not used it, so that a child starts at once and the
parent never loads torch; where a system cannot fork, each is a new process that loads torch itself. Questions and
answers travel as JSON.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

from attnprof.device.instruments.memory_bounds import oom_kills
from attnprof.errors import AttnprofError
from attnprof.records import JsonDict, JsonObject
from attnprof.sweeps.child import serve
from attnprof.sweeps.lifeline import end_with_all

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

PRELOADED = ["attnprof.sweeps.nursery"]
STARTS = 5
WITHOUT_SERVER = 255  # what multiprocessing makes of a child's exit code when the server that forked it is gone
Serve = Callable[[Connection, str], None]


def has_server() -> bool:
    """Whether this system has a server that children are forked from."""
    return "forkserver" in multiprocessing.get_all_start_methods()


class Died(Exception):
    """A child ended, or was ended, before it answered.

    `signal` is what killed it, if anything did; `oom`: the kernel says that it killed something for memory meanwhile;
    `orphaned`: the server that it was forked from died, which says nothing of what it was doing.
    """

    def __init__(
        self,
        message: str,
        *,
        signal: int | None = None,
        timed_out: bool = False,
        oom: bool = False,
        orphaned: bool = False,
    ) -> None:
        super().__init__(message)
        self.signal = signal
        self.timed_out = timed_out
        self.oom = oom
        self.orphaned = orphaned


class Worker:
    """One child, started when first asked and started anew after it died; `opening` is what each is asked first."""

    def __init__(self, opening: JsonObject | None, log: Path | None = None, serve: Serve = serve) -> None:
        self.opening = opening
        self.log = log
        self.serve = serve
        self._process: BaseProcess | None = None
        self._pipe: Connection | None = None
        self._killed = 0

    @property
    def running(self) -> bool:
        """Whether there is a child."""
        return self._process is not None

    def ask(self, request: JsonObject, timeout_s: float) -> JsonDict:
        """The child's answer. Raises `Died` where none comes within `timeout_s`; the next `ask` starts a new child."""
        for last in (False, True):
            try:
                return self._asked(request, timeout_s)
            except Died as death:
                if last or not death.orphaned:
                    raise
        raise AssertionError("unreachable")

    def close(self) -> None:
        """End the child and whatever it started."""
        if self._process is None:
            return
        if self._process.pid is not None:
            end_with_all(self._process.pid)
            self._process.join(5)
        if self._pipe is not None:
            self._pipe.close()
        self._process = self._pipe = None

    def _asked(self, request: JsonObject, timeout_s: float) -> JsonDict:
        if self._process is None:
            self._start()
            if self.opening is not None:
                opened = self._exchange(self.opening, timeout_s)
                if not opened["ok"]:
                    self.close()
                    return opened
        return self._exchange(request, timeout_s)

    def _start(self) -> None:
        forks = has_server()
        context = multiprocessing.get_context("forkserver") if forks else multiprocessing.get_context("spawn")
        if forks:
            context.set_forkserver_preload(PRELOADED)
        log = str(self.log) if self.log else os.devnull
        for attempt in range(STARTS):
            self._pipe, theirs = context.Pipe()
            process = context.Process(target=self.serve, args=(theirs, log), daemon=True)
            try:
                process.start()
            except (EOFError, OSError, RuntimeError) as error:
                self._pipe.close()
                if attempt == STARTS - 1:
                    raise AttnprofError(
                        f"no process can be started: {error}", hint="see the limits of this machine: ulimit -a"
                    ) from error
                time.sleep(0.1 * (attempt + 1))  # the server died: it is noticed, and started anew, at the next start
            else:
                self._process, self._killed = process, oom_kills()
                break
            finally:
                theirs.close()

    def _exchange(self, request: JsonObject, timeout_s: float) -> JsonDict:
        assert self._pipe is not None
        began = time.monotonic()
        try:
            self._pipe.send_bytes(json.dumps(request).encode())
            if not self._pipe.poll(timeout_s):
                self.close()
                raise Died(f"no answer within {timeout_s:.0f} s", timed_out=True)
            answer: JsonDict = json.loads(self._pipe.recv_bytes())
        except (EOFError, ConnectionError):
            raise self._buried() from None
        answer["here_s"] = time.monotonic() - began  # by this process' clock, beside the child's own `took_s`
        return answer

    def _buried(self) -> Died:
        assert self._process is not None
        self._process.join(10)
        code, killed = self._process.exitcode, oom_kills() > self._killed
        self.close()
        if code is None or code == WITHOUT_SERVER:
            return Died("the process and the server that it came from ended", orphaned=True)
        if code < 0:
            by = signal.Signals(-code).name
            why = ", and the kernel says that it killed for want of memory" if killed and code == -9 else ""
            return Died(f"the process was killed by {by}{why}", signal=-code, oom=killed and code == -9)
        return Died(f"the process ended with exit code {code}")
