"""A child does not outlive the process that asks it, whatever that died of."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import select
import signal
import sys
import threading
from multiprocessing.connection import Connection, wait
from typing import Any

SET_PARENT_DEATH_SIGNAL = 1  # prctl(2), PR_SET_PDEATHSIG


def die_with_asker(pipe: Connection) -> None:
    """End this process, and all that it started, when the other end of its pipe is gone.

    A thread watches the pipe, or where pipes cannot be watched the asker. Code that never lets a thread run is ended by
    the kernel (Linux), with the server that this process was forked from, which ends with the asker once no child holds
    the pipe that keeps it.
    """
    _let_the_server_go()
    _lead_a_group()
    if sys.platform == "linux":
        import ctypes

        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(SET_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
    threading.Thread(target=_watch, args=(pipe.fileno(),), daemon=True).start()


def end_with_all(pid: int) -> None:
    """End a process and all that it started: its group, or where a system has none its descendants one by one."""
    try:
        end_group, kind = os.killpg, signal.SIGKILL
    except AttributeError:  # Windows
        _end_one_by_one(pid)
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        end_group(pid, kind)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, kind)


def _end_one_by_one(pid: int) -> None:
    import psutil

    with contextlib.suppress(psutil.Error):
        own = psutil.Process(pid)
        for each in (*own.children(recursive=True), own):
            with contextlib.suppress(psutil.Error):
                each.kill()


def _lead_a_group() -> None:
    with contextlib.suppress(AttributeError):  # Windows
        os.setsid()


def _let_the_server_go() -> None:
    """Close what a fork server hands to its children so that they may use it too, and so never ends before them."""
    with contextlib.suppress(ImportError, KeyError, AttributeError, OSError, TypeError):
        from multiprocessing import forkserver

        held: Any = vars(forkserver)["_forkserver"]
        os.close(held._forkserver_alive_fd)
        held._forkserver_alive_fd = None


def _watch(handle: int) -> None:
    try:
        watched = select.poll()
    except AttributeError:  # Windows
        asker = multiprocessing.parent_process()
        assert asker is not None, "a child has a parent"
        wait([asker.sentinel])
    else:
        watched.register(handle, 0)  # hanging up is told without being asked for
        with contextlib.suppress(OSError):
            while not any(event & select.POLLHUP for _, event in watched.poll()):
                pass
    end_with_all(os.getpid())
