"""What steps allocate: the highest live bytes over what lived before them, as an allocator tells it."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from types import ModuleType
from typing import Any

from attnprof.device.instruments.clock import Step

HOST_METHOD = "exact allocation events of the CPU allocator"
ACCELERATOR_METHOD = "the device allocator's peak over its baseline (blocks rounded to 512 bytes)"


@dataclass(frozen=True, slots=True)
class AllocatorPeak:
    """Bytes of one pass: the peak over what lived before it; on an accelerator also what the allocator holds in all."""

    peak_bytes: int
    reserved_bytes: int | None
    method: str


def highest(changes: Iterable[int]) -> int:
    """The highest running total of allocations (+) and frees (-), at least 0."""
    return max(accumulate(changes, initial=0))


def host_peak(steps: Sequence[Step]) -> AllocatorPeak:
    """Run the steps under torch's profiler, which sees every allocation of its CPU allocator."""
    from torch.autograd.profiler import profile

    record: Any = profile(profile_memory=True)
    with _quiet():
        record.__enter__()
    try:
        for step in steps:
            step()
    finally:
        with _quiet():
            record.__exit__(None, None, None)
    return AllocatorPeak(highest(_changes(record.kineto_results)), None, HOST_METHOD)


def accelerator_peak(steps: Sequence[Step], where: str, backend: ModuleType) -> AllocatorPeak:
    """Run the steps between two readings of the allocator of a device; `backend` is `torch.accelerator`, or a fake."""
    backend.synchronize(where)
    backend.empty_cache()
    baseline = backend.memory_allocated(where)
    backend.reset_peak_memory_stats(where)
    for step in steps:
        step()
    backend.synchronize(where)
    top = backend.max_memory_allocated(where)
    return AllocatorPeak(top - baseline, backend.max_memory_reserved(where), ACCELERATOR_METHOD)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Nothing on file descriptor 2: the profiler's C++ part announces there each start and stop."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _changes(results: Any) -> list[int]:
    events = (e for e in results.events() if e.name() == "[memory]" and e.device_type().name == "CPU")
    return [e.nbytes() for e in sorted(events, key=lambda e: e.start_ns())]
