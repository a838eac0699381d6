"""Scales with round ticks that do not touch each other."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

from attnprof import units
from attnprof.render.layout.display import Anchor, Caption, Lettering, Role, Scale, Stroke
from attnprof.render.layout.lettering import text_width
from attnprof.render.numbers import quantity
from attnprof.units import format_length

BYTES = (2, 4, 16, 64, 256, 1024, 4096)
DECIMAL = (10, 100, 1000, 10_000, 100_000)
NARROWEST = 6.0
RATES: Mapping[str, Callable[[float], str]] = {  # their titles name the unit
    "tokens/s": units.format_count,
    "share": lambda value: f"{100 * value:,.3g}%",
    "flop/s": lambda value: units.format_flops(value).replace("FLOP", ""),
}
FACTORS = (1, 1.5, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 100_000)


def length_scale(ns: Sequence[int], start: float, end: float, size: float = 11.5) -> Scale:
    """The scale of n, with a tick at every length of which the label does not touch the next, the last among them."""
    low, high = min(ns), max(ns)
    bare = Scale(start, end, low, high) if low < high else Scale(start, end, low / 2, high * 2)
    kept = thinned([(n, format_length(n)) for n in sorted(set(ns))], bare, size)
    return Scale(start, end, bare.low, bare.high, True, "n", tuple(kept))


def linear_lengths(ns: Sequence[int], start: float, end: float, size: float = 11.5) -> Scale:
    """The scale of n from zero, with a tick at every length of which the label does not touch the next."""
    bare = Scale(start, end, 0.0, float(max(ns)), False)
    kept = thinned([(n, format_length(n)) for n in sorted(set(ns))], bare, size)
    return Scale(start, end, bare.low, bare.high, False, "n", tuple(kept))


def thinned(ticks: Sequence[tuple[float, str]], scale: Scale, size: float) -> list[tuple[float, str]]:
    """The ticks whose labels, set side by side, do not touch: from the last one backwards."""
    kept: list[tuple[float, str]] = []
    edge = math.inf
    for value, label in reversed(ticks):
        half = text_width(label, size) / 2
        if scale.at(value) + half + size * 0.5 <= edge:
            kept.append((value, label))
            edge = scale.at(value) - half
    return kept[::-1]


def value_scale(values: Iterable[float], unit: str, start: float, end: float, most: int = 6) -> Scale:
    """The log scale of a quantity upwards: round ticks, powers of two for bytes, a factor `NARROWEST` at least."""
    found = [v for v in values if v > 0]
    low, high = min(found), max(found)
    margin = max(1.15, math.sqrt(NARROWEST * low / high))
    low, high = low / margin, high * margin
    for step in _candidates(low, high, unit):
        if 2 <= len(step) <= most:
            return Scale(start, end, low, high, True, "", tuple((v, short(v, unit)) for v in step))
    return Scale(start, end, low, high, True, "", tuple((v, quantity(v, unit)) for v in (low * margin, high / margin)))


def linear_scale(values: Iterable[float], unit: str, start: float, end: float) -> Scale:
    """A linear scale from zero with about five round ticks."""
    top = max(values) * 1.05
    base = 1024.0 ** math.floor(math.log(top, 1024)) if unit == "bytes" else 1.0
    rough = top / base / 4
    power = 10 ** math.floor(math.log10(rough))
    step = base * power * next(k for k in (1, 2, 2.5, 5, 10) if k * power >= rough)
    ticks = [k * step for k in range(1, int(top / step) + 1)]
    return Scale(start, end, 0.0, top, False, "", ((0.0, "0"), *((v, short(v, unit)) for v in ticks)))


def factor_scale(
    ratios: Iterable[float], start: float, end: float, name: str, size: float, least: float = 2.2
) -> Scale:
    """The scale of a cost beside another's: `2× less`, the name where they are equal, `2× more`."""
    found = [*ratios, 1.0]
    low, high = min(min(found) / 1.25, 1 / least), max(max(found) * 1.25, least)
    scale = Scale(start, end, low, high)
    less = [(1 / k, f"{k:,g}× less") for k in FACTORS[2:] if 1 / k >= low]
    more = [(float(k), f"{k:,g}× more") for k in FACTORS[2:] if k <= high]
    kept: list[tuple[float, str]] = [(1.0, name)]
    for side in (less, more):
        edge = text_width(name, size) / 2 + size * 0.6
        for value, label in side:
            away, half = abs(scale.at(value) - scale.at(1.0)), text_width(label, size) / 2
            if away - half >= edge and _within(scale, value, half):
                kept.append((value, label))
                edge = away + half + size * 0.6
    return Scale(start, end, low, high, True, "", tuple(sorted(kept)))


def _within(scale: Scale, value: float, half: float) -> bool:
    low, high = sorted((scale.start, scale.end))
    return low - 20 <= scale.at(value) - half and scale.at(value) + half <= high + 8


def _candidates(low: float, high: float, unit: str) -> Iterable[list[float]]:
    """Round values inside the bounds, the densest choice first."""
    if unit != "bytes":
        tens = _powers(low / 10, high, 10)
        for digits in ((1, 2, 5), (1, 3)):
            yield [v * d for v in tens for d in digits if low <= v * d <= high]
    for step in BYTES if unit == "bytes" else DECIMAL:
        yield _powers(low, high, step)


def _powers(low: float, high: float, step: int) -> list[float]:
    first = math.ceil(math.log(low, step) - 1e-9)
    last = math.floor(math.log(high, step) + 1e-9)
    return [float(step) ** k for k in range(first, last + 1)]


def short(value: float, unit: str) -> str:
    """The label of a round tick, without needless decimals: `100 ms`, `4 GiB`."""
    text = RATES[unit](value) if unit in RATES else quantity(value, unit) if unit else f"{value:,g}"
    number, _, symbol = text.partition(" ")
    return f"{float(number.replace(',', '')):,.12g} {symbol}" if symbol else text


def ticks_below(scale: Scale, y: float, size: float) -> list[Caption]:
    """The labels of a scale that runs across, under a plot that ends at y."""
    return [
        Caption(round(scale.at(v), 1), y + size * 1.15, label, Lettering.TICK, Anchor.MIDDLE, size)
        for v, label in scale.ticks
    ]


def ticks_beside(scale: Scale, left: float, right: float, size: float) -> tuple[list[Stroke], list[Caption]]:
    """Grid lines and labels of a scale that runs upwards, at the left of a plot from `left` to `right`."""
    marks = [(round(scale.at(v), 1), label) for v, label in scale.ticks]
    strokes = [Stroke(((left, y), (right, y)), Role.GRID) for y, _ in marks]
    return strokes, [Caption(left - size * 0.45, y, label, Lettering.TICK, Anchor.END, size) for y, label in marks]
