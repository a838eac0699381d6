"""What a point does cost on a device: clock, memory, sensors, the gate before them. One point at a time."""

from attnprof.measure.point import Outcome, measure, measure_target

__all__ = ["Outcome", "measure", "measure_target"]
