"""What a figure can show of a record: one value a point, with its interval and where it comes from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from attnprof.records import Interval, Record


@dataclass(frozen=True, slots=True)
class Reading:
    """A value of one record; `predicted` where it follows from the code and no device has confirmed it."""

    value: float
    low: float | None = None
    high: float | None = None
    predicted: bool = False


@dataclass(frozen=True, slots=True)
class FigureMetric:
    """A quantity that a record may hold. What adds up over layers is divided by them; a peak never is."""

    key: str
    unit: str
    additive: bool
    source: Callable[[Record], Reading | None]

    def read(self, record: Record) -> Reading | None:
        """The reading per layer, or None where the record holds none (its reasons say why)."""
        found = self.source(record)
        if found is None or found.value <= 0:
            return None
        layers = record.point.layers if self.additive else 1
        if layers == 1:
            return found
        low, high = (None if x is None else x / layers for x in (found.low, found.high))
        return Reading(found.value / layers, low, high, found.predicted)


def _cost(name: str) -> Callable[[Record], Reading | None]:
    def source(record: Record) -> Reading | None:
        value = None if record.cost is None else getattr(record.cost, name)
        return None if value is None else Reading(float(value))

    return source


def _either(name: str) -> Callable[[Record], Reading | None]:
    """What the device reported, else what the code must use."""

    def source(record: Record) -> Reading | None:
        measured = None if record.measured is None else getattr(record.measured, name)
        if measured is not None:
            return Reading(float(measured))
        predicted = None if record.cost is None else getattr(record.cost, name)
        return None if predicted is None else Reading(float(predicted), predicted=True)

    return source


def _interval(name: str) -> Callable[[Record], Reading | None]:
    def source(record: Record) -> Reading | None:
        found: Interval | None = None if record.measured is None else getattr(record.measured, name)
        return None if found is None else Reading(found.median, found.low, found.high)

    return source


def _energy(record: Record) -> Reading | None:
    value = None if record.measured is None else record.measured.energy_j
    return None if value is None else Reading(value)


FLOPS = FigureMetric("flops_executed", "flops", True, _cost("flops_executed"))
CORE = FigureMetric("flops_core_executed", "flops", True, _cost("flops_core_executed"))
USEFUL = FigureMetric("flops_core_useful", "flops", True, _cost("flops_core_useful"))
PEAK = FigureMetric("peak_bytes", "bytes", False, _either("peak_bytes"))
SAVED = FigureMetric("saved_bytes", "bytes", True, _either("saved_bytes"))
WALL = FigureMetric("wall_s", "s", True, _interval("wall_s"))
ENERGY = FigureMetric("energy_j", "j", True, _energy)
EXP = FigureMetric("exp_ops", "ops", True, _cost("exp_ops"))
ARITH = FigureMetric("arith_ops", "ops", True, _cost("arith_ops"))
SELECT = FigureMetric("select_ops", "ops", True, _cost("select_ops"))
READS = FigureMetric("decode_read_bytes", "bytes", True, _cost("decode_read_bytes"))
STATE = FigureMetric("state_bytes", "bytes", True, _cost("state_bytes"))

PANELS: tuple[FigureMetric, ...] = (WALL, FLOPS, PEAK, SAVED, ENERGY)
DECODE_PANELS: tuple[FigureMetric, ...] = (WALL, FLOPS, STATE, READS, ENERGY)
COMPARED: tuple[FigureMetric, ...] = (WALL, PEAK, FLOPS, ENERGY)
