"""Logarithmic axes: where a value lies between 0 and 1, and which ticks to write beside it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from attnprof.render.numbers import quantity
from attnprof.units import format_length

STEPS = {"bytes": (2, 4, 16, 64, 256, 1024, 4096), "decimal": (10, 100, 1000, 10_000, 100_000)}
NARROWEST = 6.0
MOST_TICKS = 6


@dataclass(frozen=True, slots=True)
class Tick:
    """One labelled place of an axis; `at` is the fraction from its low end."""

    value: float
    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Axis:
    """A log axis from `low` to `high`."""

    low: float
    high: float
    ticks: tuple[Tick, ...] = ()

    def at(self, value: float) -> float:
        """The fraction of the axis at which a positive value lies."""
        return (math.log(value) - math.log(self.low)) / (math.log(self.high) - math.log(self.low))


def length_axis(ns: Sequence[int]) -> Axis:
    """The axis of n, with a tick at every length, or at every other where they would crowd."""
    low, high = min(ns), max(ns)
    bare = Axis(low / 1.18, high * 1.18) if low < high else Axis(low / 2, high * 2)
    chosen = _spread(sorted(set(ns)), bare)
    return Axis(bare.low, bare.high, tuple(Tick(n, bare.at(n), format_length(n)) for n in chosen))


def value_axis(values: Iterable[float], unit: str) -> Axis:
    """The axis of a metric: round ticks (powers of two for bytes), at least a factor `NARROWEST` from end to end."""
    found = [v for v in values if v > 0]
    low, high = min(found), max(found)
    margin = max(1.5, math.sqrt(NARROWEST * low / high))
    bare = Axis(low / margin, high * margin)
    for values_ in _candidates(bare, unit):
        if 2 <= len(values_) <= MOST_TICKS:
            return Axis(bare.low, bare.high, tuple(Tick(v, bare.at(v), short(v, unit)) for v in values_))
    return Axis(bare.low, bare.high, tuple(Tick(v, bare.at(v), quantity(v, unit)) for v in sorted({low, high})))


def _candidates(axis: Axis, unit: str) -> Iterator[list[float]]:
    """Round values inside the axis, the densest choice first."""
    if unit != "bytes":
        tens = _powers(Axis(axis.low / 10, axis.high), 10)
        for digits in ((1, 2, 5), (1, 3)):
            yield [v * d for v in tens for d in digits if axis.low <= v * d <= axis.high]
    for step in STEPS["bytes" if unit == "bytes" else "decimal"]:
        yield _powers(axis, step)


def _powers(axis: Axis, step: int) -> list[float]:
    first = math.ceil(math.log(axis.low, step) - 1e-9)
    last = math.floor(math.log(axis.high, step) + 1e-9)
    return [float(step) ** k for k in range(first, last + 1)]


def short(value: float, unit: str) -> str:
    """The label of a round tick, without needless decimals: `100 ms`, `4 GiB`."""
    text = quantity(value, unit)
    number, _, symbol = text.partition(" ")
    return f"{float(number.replace(',', '')):,.12g} {symbol}" if symbol else text


def _spread(ns: Sequence[int], axis: Axis, gap: float = 0.085) -> list[int]:
    """Lengths whose labels do not touch, the last one always among them."""
    kept = [ns[-1]]
    for n in reversed(ns[:-1]):
        if axis.at(kept[-1]) - axis.at(n) >= gap:
            kept.append(n)
    return kept[::-1]
