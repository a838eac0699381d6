"""What a point does cost on a device: clock, memory, sensors, the gate before them. One point at a time."""

import os

# Without this the memory profiler announces each start and stop on stderr; it is read once, when torch is imported.
os.environ.setdefault("KINETO_LOG_LEVEL", "6")

from attnprof.measure.point import Outcome, measure, measure_target

__all__ = ["Outcome", "measure", "measure_target"]
