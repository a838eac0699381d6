"""A lock on an open file that ends with its process, by whatever the system has for it."""

from __future__ import annotations

import os
from types import ModuleType

BEYOND = 1 << 20  # where no text is: Windows keeps others from reading the bytes that are locked


def lock_file(handle: int) -> None:
    """Take the only lock on an open file without waiting. Raises `BlockingIOError` where another process has it."""
    try:
        import fcntl
    except ImportError:
        import msvcrt

        _lock_region(handle, msvcrt)
    else:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _lock_region(handle: int, runtime: ModuleType) -> None:
    """The same by one byte of the file, through Microsoft's C runtime."""
    os.lseek(handle, BEYOND, os.SEEK_SET)
    try:
        runtime.locking(handle, runtime.LK_NBLCK, 1)
    except PermissionError as error:
        raise BlockingIOError(*error.args) from error
    finally:
        os.lseek(handle, 0, os.SEEK_SET)
