"""The machine under this process, as far as every system tells it: the cores it may use, how busy they are."""

from __future__ import annotations

import os


def usable_cores() -> int:
    """Logical cores that this process may use; all of the machine's where the system has no affinity to ask for."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS, Windows
        return os.cpu_count() or 1


def page_faults() -> int | None:
    """How often this process was handed a page of memory so far; None where the system does not count."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def load() -> float | None:
    """Processes that ran or waited for a core, averaged over the last minute; None where the system keeps no count."""
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):  # Windows; a sandbox
        return None
