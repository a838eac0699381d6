"""What a pass allocates: the allocator's peak over what lived before it."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch

from attnprof.measure.passes import Passage
from attnprof.words import Device

CPU_METHOD = "exact allocation events of the CPU allocator"
ACCELERATOR_METHOD = "the device allocator's peak over its baseline (blocks rounded to 512 bytes)"

YOUNG = 1  # a full collection takes 0.1 s once torch is imported; what a pass left behind is young


@dataclass(frozen=True, slots=True)
class AllocatorPeak:
    """Bytes of one pass: the peak over what lived before it; on an accelerator also what the allocator holds in all."""

    peak_bytes: int
    reserved_bytes: int | None
    method: str


def peak(ready: Passage, device: str, *, backend: Any = None) -> AllocatorPeak:
    """The memory of one pass, run once. `backend` stands in for `torch.accelerator` in tests."""
    ready.before()
    gc.collect(YOUNG)
    found = _cpu_peak(ready) if device == Device.CPU else _accelerator_peak(ready, device, backend or torch.accelerator)
    ready.after()
    return found


def highest(changes: Iterable[int]) -> int:
    """The highest running total of allocations (+) and frees (-), at least 0."""
    return max(accumulate(changes, initial=0))


def _cpu_peak(ready: Passage) -> AllocatorPeak:
    from torch.autograd.profiler import profile

    record = profile(profile_memory=True)
    with _quiet():
        record.__enter__()
    try:
        for step in ready.steps:
            step()
    finally:
        with _quiet():
            record.__exit__(None, None, None)
    return AllocatorPeak(highest(_changes(record)), None, CPU_METHOD)


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


def _changes(record: Any) -> list[int]:
    results = record.kineto_results
    events = (e for e in results.events() if e.name() == "[memory]" and e.device_type().name == "CPU")
    return [e.nbytes() for e in sorted(events, key=lambda e: e.start_ns())]


def _accelerator_peak(ready: Passage, device: str, backend: Any) -> AllocatorPeak:
    backend.synchronize(device)
    backend.empty_cache()
    baseline = backend.memory_allocated(device)
    backend.reset_peak_memory_stats(device)
    for step in ready.steps:
        step()
    backend.synchronize(device)
    top = backend.max_memory_allocated(device)
    return AllocatorPeak(top - baseline, backend.max_memory_reserved(device), ACCELERATOR_METHOD)
