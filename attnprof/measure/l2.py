"""Clearing the device's last cache between samples, so that no sample finds its inputs there from the one before."""

from __future__ import annotations

from typing import Any

from attnprof.measure.clock import Step

FALLBACK_BYTES = 128 * 2**20
SHARE = 2


def flusher(device: str, *, backend: Any = None) -> Step | None:
    """A step that overwrites twice the L2 cache of a CUDA device; None on a CPU, whose caches are left as they are.

    It only queues the work. `AcceleratorClock` records its first event behind it, so that it is not timed.
    `backend` stands in for torch in tests.
    """
    if not device.startswith("cuda"):
        return None
    if backend is None:
        import torch as backend

    size = getattr(backend.cuda.get_device_properties(device), "L2_cache_size", 0) or FALLBACK_BYTES
    buffer = backend.empty(SHARE * size, dtype=backend.int8, device=device)
    return buffer.zero_
