"""Numbers as a reader sees them, one form for each unit of a metric."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from attnprof import units


def joules(value: float) -> str:
    """Energy to three digits: `3.10 mJ`."""
    return units.format_seconds(value)[:-1] + "J" if value < 100 else f"{value:,.0f} J"


def rate(value: float, unit: str) -> str:
    """A rate to three digits: `1.23 k tokens/s`, `42.1 GFLOP/s`."""
    return f"{units.format_count(value)} {unit}"


FORMATS: Mapping[str, Callable[[float], str]] = {
    "flops": units.format_flops,
    "bytes": units.format_bytes,
    "s": units.format_seconds,
    "j": joules,
    "ops": units.format_count,
    "flop/s": lambda value: f"{units.format_flops(value)}/s",
    "tokens/s": lambda value: rate(value, "tokens/s"),
    "share": lambda value: percent(value),
    "times": lambda value: ratio(value) if value >= 0.995 else f"{value:.2g}×",
}


def quantity(value: float, unit: str) -> str:
    """A value with its unit to three digits: `51.5 GFLOP`, `1.02 GiB`, `3.12 ms`."""
    return FORMATS[unit](value)


def span(ns: Sequence[int]) -> str:
    """The range that lengths cover: `1k–64k`, or the one length."""
    low, high = units.format_length(min(ns)), units.format_length(max(ns))
    return low if low == high else f"{low}–{high}"


def power(slope: float) -> str:
    """A growth exponent, always with two decimals and never `-0.00`."""
    return f"{slope + 0.0:.2f}".replace("-0.00", "0.00")


def ratio(value: float) -> str:
    """How many times: `2.5×`, `17×`, `1,030×`."""
    return f"{value:,.0f}×" if value >= 9.95 else f"{value:.1f}×"


def factor(value: float) -> str:
    """A bare factor: `2.5`, `17`."""
    return ratio(value).removesuffix("×")


def percent(share: float) -> str:
    """A share as a percentage: `1.5%`, `99.2%`, `104%`."""
    value = share * 100
    return f"{value:.0f}%" if value == 0 or value >= 99.95 else f"{value:.1f}%"


def count(value: int) -> str:
    """A whole number in groups of three digits."""
    return f"{value:,}"


def around(n: float) -> str:
    """An interpolated length to two digits: `5.2k`, `180`, `13k`."""
    if n < 1024:
        return f"{float(f'{n:.2g}'):,.0f}"
    k = n / 1024
    return f"{k:.1f}k" if k < 9.95 else f"{float(f'{k:.2g}'):,.0f}k"


def interval(low: float, high: float, unit: str) -> str:
    """Two bounds, the unit written once where it is the same: `1.40–1.48 s`."""
    first, last = quantity(low, unit), quantity(high, unit)
    number, _, symbol = first.partition(" ")
    return f"{number}–{last}" if last.endswith(f" {symbol}") else f"{first} – {last}"
