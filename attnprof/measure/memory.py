"""What a pass allocates: the allocator's peak over what lived before it."""

from __future__ import annotations

import gc

from attnprof.device import Device
from attnprof.device.instruments.allocator import AllocatorPeak
from attnprof.measure.passes import Passage

YOUNG = 1  # a full collection takes 0.1 s once torch is imported; what a pass left behind is young


def peak(ready: Passage, device: Device) -> AllocatorPeak:
    """The memory of one pass, run once."""
    ready.before()
    gc.collect(YOUNG)
    found = device.peak(ready.steps)
    ready.after()
    return found
