"""One computation beside another, in a forked child that shares what is imported, where a core is to spare."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from typing import Any

from attnprof.machine import usable_cores


def aside(make: Callable[[], Any]) -> Callable[[], Any]:
    """Start `make` in a child; the function that is returned waits for its result, which must be plain data.

    Call it before the first backward of the process: autograd refuses to run in a child that was forked later. Without
    a core to spare, or without fork, `make` runs when its result is asked for; so it does where the child fails, so
    that its error is raised here.
    """
    if usable_cores() < 2 or "fork" not in multiprocessing.get_all_start_methods():
        return make
    context = multiprocessing.get_context("fork")
    receiving, sending = context.Pipe(duplex=False)
    child: Any = context.Process(target=_send, args=(sending, make), daemon=True)
    child.start()
    sending.close()

    def result() -> Any:
        try:
            made = receiving.recv()
        except EOFError:
            made = None
        child.join()
        return make() if made is None else made[0]

    return result


def _send(sending: Any, make: Callable[[], Any]) -> None:
    try:
        sending.send((make(),))
    finally:
        sending.close()
