"""A child does not outlive the process that asks it, whatever that died of."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import threading
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from typing import Any

SET_PARENT_DEATH_SIGNAL = 1  # prctl(2), PR_SET_PDEATHSIG


def die_with_asker(pipe: Connection) -> None:
    """End this process, and all that it started, when the other end of its pipe is gone.

    A thread watches the pipe. Code that never lets a thread run is ended by the kernel (Linux), with the server that
    this process was forked from, which ends with the asker once no child holds the pipe that keeps it.
    """
    _let_the_server_go()
    if sys.platform == "linux":
        import ctypes

        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(SET_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
    threading.Thread(target=_watch, args=(pipe.fileno(),), daemon=True).start()


def _let_the_server_go() -> None:
    """Close what a fork server hands to its children so that they may use it too, and so never ends before them."""
    with contextlib.suppress(KeyError, AttributeError, OSError, TypeError):
        held: Any = vars(forkserver)["_forkserver"]
        os.close(held._forkserver_alive_fd)
        held._forkserver_alive_fd = None


def _watch(handle: int) -> None:
    watched = select.poll()
    watched.register(handle, 0)  # hanging up is told without being asked for
    with contextlib.suppress(OSError):
        while not any(event & select.POLLHUP for _, event in watched.poll()):
            pass
    os.killpg(0, signal.SIGKILL)
