"""What a signal does to a long command: the first ends it in order, the second at once."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from types import FrameType


@contextlib.contextmanager
def orderly() -> Iterator[None]:
    """SIGINT and SIGTERM raise KeyboardInterrupt once; after that either ends the process, and its children with it."""
    kinds = (signal.SIGINT, signal.SIGTERM)
    try:
        before = {kind: signal.signal(kind, _first) for kind in kinds}
    except ValueError:  # not the main thread: whoever has that decides
        yield
        return
    try:
        yield
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)


def _first(kind: int, frame: FrameType | None) -> None:
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, _second)
    raise KeyboardInterrupt


def _second(kind: int, frame: FrameType | None) -> None:
    os._exit(130)
