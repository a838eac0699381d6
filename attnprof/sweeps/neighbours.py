"""Other sweeps that measure on this machine at the same time, noticed through locks on files that all can see."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from attnprof.file_lock import lock_file

PREFIX = "attnprof-measuring-"


@contextlib.contextmanager
def measuring(folder: Path | None = None) -> Iterator[Callable[[], bool]]:
    """Say that a sweep measures here; what is given tells whether another does. Where nothing can be written, none."""
    folder = Path(tempfile.gettempdir()) if folder is None else folder
    own = folder / f"{PREFIX}{os.getpid()}"
    try:
        handle = os.open(own, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError:
        yield lambda: False
        return
    try:
        lock_file(handle)
        yield lambda: any(_is_held(file) for file in folder.glob(f"{PREFIX}*") if file != own)
    finally:
        os.close(handle)  # first: Windows deletes nothing that is open
        with contextlib.suppress(OSError):
            own.unlink(missing_ok=True)


def _is_held(file: Path) -> bool:
    """Whether the process that made a file still holds it; a file that was left behind is removed."""
    try:
        handle = os.open(file, os.O_RDWR)
    except OSError:
        return False
    try:
        lock_file(handle)
    except BlockingIOError:
        return True
    except OSError:
        return False
    else:
        with contextlib.suppress(OSError):
            file.unlink(missing_ok=True)
        return False
    finally:
        os.close(handle)
