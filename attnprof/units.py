"""The one grammar of lengths, sizes and parameter values, and how numbers are shown.

`1k` = 1024 and `1m` = 1024² tokens; `80GB` = 80e9 and `80GiB` = 80·2³⁰ bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeVar

from attnprof.errors import AttnprofError

DURATIONS = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600}
T = TypeVar("T")
Value = int | float | bool | str | None

LENGTH_FORMS = "1k, 1k-64k (doubling), 1k-64k:x4, 1k-64k:+8k, 1k,3k,10k (1k = 1024)"
MAX_LENGTHS = 10_000
SCALE = {"": 1, "k": 1024, "m": 1024**2}
SIZES = {f"{p}B": 1000**i for i, p in enumerate(("", "k", "M", "G", "T", "P"))} | {
    f"{p}iB": 1024**i for i, p in enumerate(("", "K", "M", "G", "T", "P")) if p
}

_NUMBER = re.compile(r"\d+(\.\d+)?")
_LENGTH = re.compile(r"\d+(\.\d+)?[kKmM]?")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)")
_INT = re.compile(r"[+-]?\d+")
_FLOAT = re.compile(r"[+-]?(\d+\.\d*|\.\d+|\d+(?=[eE]))([eE][+-]?\d+)?")
_SCALED = re.compile(r"\d+[kKmM]")
_WORDS: dict[str, Value] = {"none": None, "true": True, "false": False}


@dataclass(frozen=True, slots=True)
class Setting:
    """One `--set`: the parameter `param` of `target` (None: of the only target) has this value."""

    target: str | None
    param: str
    value: Value


class _Fault(Exception):
    """What is wrong with a text, at which of its characters."""

    def __init__(self, at: int, rule: str) -> None:
        super().__init__(rule)
        self.at, self.rule = at, rule


def parse_lengths(text: str) -> tuple[int, ...]:
    """Sequence lengths in tokens, sorted and unique.

    Items are joined by commas: a length, or a range `a-b` that doubles, `a-b:xF` that multiplies by F, or `a-b:+S`
    that adds S; a range never goes beyond `b`. Raises `AttnprofError` with a caret at the first fault.
    """
    return _parsed("lengths", text, _lengths, LENGTH_FORMS)


def parse_length(text: str) -> int:
    """One length in tokens: `4096`, `4k`, `1.5k`, `1m`."""
    return _parsed("length", text, _one_length, "4096, 4k, 1m (1k = 1024)")


def parse_size(text: str) -> int:
    """Bytes: `80GB` = 80e9, `80GiB` = 80·2³⁰, `512` or `512B` = 512. A bare `80G` is refused: it could be either."""
    return _parsed("size", text, _size, "80GB (= 80e9 bytes), 80GiB (= 80·2^30 bytes), 512MiB, 4096B")


def parse_duration(text: str) -> float:
    """Seconds: `90`, `90s`, `10m`, `1.5h`."""
    return _parsed("duration", text, _duration, "90s, 10m, 1.5h; a bare number is of seconds")


def parse_value(text: str) -> Value:
    """A parameter value: `none`, `true`, `false`, an integer (`4k` = 4096 too), a float, else the text itself.

    Quotes keep a text that would read as something else: `'4k'`, `"none"`.
    """
    text = text.strip()
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if _INT.fullmatch(text):
        return int(text)
    if _SCALED.fullmatch(text):
        return parse_length(text)
    return float(text) if _FLOAT.fullmatch(text) else text


def parse_setting(text: str) -> Setting:
    """`name.param=value`, or `param=value` where only one target is meant."""
    return _parsed("setting", text, _setting, "longformer.window=256, window=256")


def format_value(value: Value) -> str:
    """A parameter value as `parse_value` reads it back."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return repr(value)
    text = str(value)
    if isinstance(value, str) and (parse_value(text) != text or not isinstance(parse_value(text), str)):
        quote = '"' if text.endswith("'") or text.startswith("'") else "'"
        return f"{quote}{text}{quote}"
    return text


def format_length(n: int) -> str:
    """Tokens as the grammar writes them: 65536 → `64k`, 1048576 → `1m`, 1000 → `1000`."""
    for suffix in ("m", "k"):
        if n >= SCALE[suffix] and n % SCALE[suffix] == 0:
            return f"{n // SCALE[suffix]}{suffix}"
    return str(n)


def counted(count: int, one: str, several: str = "") -> str:
    """`1 layer`, `2 layers`."""
    return f"{count:,} {one if count == 1 else several or one + 's'}"


def format_bytes(count: float) -> str:
    """Bytes in binary units to three digits: 1536 → `1.50 KiB`."""
    return _scaled(count, 1024, ("B", "KiB", "MiB", "GiB", "TiB", "PiB"))


def format_flops(count: float) -> str:
    """FLOPs (a multiply-add is 2) in decimal units to three digits: 51.54e9 → `51.5 GFLOP`."""
    return _scaled(count, 1000, ("FLOP", "kFLOP", "MFLOP", "GFLOP", "TFLOP", "PFLOP", "EFLOP"))


def format_seconds(seconds: float) -> str:
    """Seconds to three digits: 0.0031 → `3.10 ms`; from two minutes on, minutes and hours."""
    if abs(seconds) < 120:
        power = next((p for p in (0, 1, 2) if abs(seconds) * 1000**p >= 0.9995), 3)
        return "0 s" if seconds == 0 else f"{_digits(seconds * 1000**power)} {('s', 'ms', 'µs', 'ns')[power]}"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02d} min"


def format_count(count: float) -> str:
    """A plain count: exact with separators below a million, else three digits and M, G, T: 12.3e6 → `12.3 M`."""
    if abs(count) < 999_500:
        return f"{count:,.0f}"
    return _scaled(count / 1e6, 1000, ("M", "G", "T", "P", "E"))


def format_share(share: float) -> str:
    """A share in percent to two decimals; never `100.00%` or `0.00%` for one that is not: `>99.99%`, `<0.01%`."""
    text = f"{share:.2%}"
    if share < 1 and text == "100.00%":
        return ">99.99%"
    return "<0.01%" if share > 0 and text == "0.00%" else text


def _scaled(value: float, base: int, units: tuple[str, ...]) -> str:
    power = 0
    while abs(value) >= base * 0.9995 and power < len(units) - 1:
        value, power = value / base, power + 1
    if power == 0 and value == int(value):
        return f"{int(value)} {units[0]}"
    return f"{_digits(value)} {units[power]}"


def _digits(value: float) -> str:
    if 0 < abs(value) < 0.0995:
        return f"{value:.3g}"
    places = 2 if abs(value) < 9.995 else 1 if abs(value) < 99.95 else 0
    return f"{value:.{places}f}"


def _parsed(kind: str, text: str, parse: Callable[[str], T], forms: str) -> T:
    try:
        return parse(text)
    except _Fault as fault:
        near = _nearest(text, fault.at, parse)
        hint = f"did you mean {near}? valid: {forms}" if near else f"valid: {forms}"
        shown = "".join(c if c.isprintable() else " " for c in text)
        caret = f"  {shown}\n  {' ' * fault.at}^ {fault.rule}"
        raise AttnprofError(f"cannot read the {kind} {text!r}:\n{caret}", hint=hint) from None


def _nearest(text: str, at: int, parse: Callable[[str], object]) -> str | None:
    """The first repair around the fault that parses: a mark dropped, corrected or added."""
    swaps = (
        text.replace("..", "-"),
        text.replace(";", ","),
        text.replace("–", "-"),
        text.replace(":", "-"),
        text.replace(" ", ""),
    )
    edits = (text[:at] + new + text[at + cut :] for cut in (1, 2, 0) for new in ("", "-", ",", ":", "B", "iB", "x"))
    for candidate in (*swaps, *edits, text[:at], text[: at - 1]):
        if candidate == text or not candidate:
            continue
        try:
            parse(candidate)
        except _Fault:
            continue
        return candidate
    return None


def _lengths(text: str) -> tuple[int, ...]:
    found: set[int] = set()
    at = 0
    while True:
        values, at = _item(text, at)
        found.update(values)
        if len(found) > MAX_LENGTHS:
            raise _Fault(at - 1, f"more than {MAX_LENGTHS} lengths")
        if at == len(text):
            return tuple(sorted(found))
        if text[at] != ",":
            raise _Fault(at, "expected a comma or the end")
        at += 1


def _item(text: str, at: int) -> tuple[list[int], int]:
    low, end = _length(text, at)
    if end == len(text) or text[end] != "-":
        return [low], end
    high, end = _length(text, end + 1)
    if high < low:
        raise _Fault(at, f"the range goes down; write {format_length(high)}-{format_length(low)}")
    if end < len(text) and text[end] == ":":
        return _stepped(text, low, high, end + 1)
    return _multiplied(low, high, Fraction(2)), end


def _stepped(text: str, low: int, high: int, at: int) -> tuple[list[int], int]:
    mark = text[at : at + 1]
    if mark == "+":
        step, end = _length(text, at + 1)
        if (high - low) // step > MAX_LENGTHS:
            raise _Fault(at, f"more than {MAX_LENGTHS} lengths")
        return list(range(low, high + 1, step)), end
    if mark in ("x", "X", "×"):
        factor = _NUMBER.match(text, at + 1)
        if factor is None or Fraction(factor[0]) <= 1:
            raise _Fault(at + 1, "expected a factor above 1")
        return _multiplied(low, high, Fraction(factor[0])), factor.end()
    raise _Fault(at, "expected x and a factor, or + and a step")


def _multiplied(low: int, high: int, factor: Fraction) -> list[int]:
    values, exact = [], Fraction(low)
    while exact <= high and len(values) <= MAX_LENGTHS:
        values.append(round(exact))
        exact = exact * factor if exact.denominator < 10**9 else Fraction(round(exact * factor))
    return values


def _one_length(text: str) -> int:
    value, end = _length(text, 0)
    if end < len(text):
        raise _Fault(end, "expected the end")
    return value


def _length(text: str, at: int) -> tuple[int, int]:
    match = _LENGTH.match(text, at)
    if match is None:
        negative = text[at : at + 1] == "-"
        raise _Fault(at, "a length is positive" if negative else "expected a length such as 4096 or 4k")
    number = match[0]
    scale = SCALE[number[-1].lower()] if number[-1].isalpha() else 1
    value = Fraction(number.rstrip("kKmM")) * scale
    if value.denominator != 1:
        raise _Fault(at, "not a whole number of tokens")
    if value <= 0:
        raise _Fault(at, "a length is positive")
    return int(value), match.end()


def _size(text: str) -> int:
    match = _SIZE.match(text)
    if match is None:
        raise _Fault(0, "expected a number of bytes")
    if match.end() < len(text):
        raise _Fault(match.end(), "expected the end")
    unit = next((u for u in SIZES if u.lower() == (match[2] or "B").lower()), None)
    if unit is None:
        raise _Fault(match.start(2), f"unknown unit {match[2]!r}")
    value = Fraction(match[1]) * SIZES[unit]
    if value <= 0:
        raise _Fault(0, "a size is positive")
    return int(value)


def _setting(text: str) -> Setting:
    name, equals, value = text.partition("=")
    if not equals:
        raise _Fault(len(text), "expected = and a value")
    target, _, param = name.strip().rpartition(".")
    if not param.isidentifier():
        raise _Fault(len(target) + (1 if target else 0), "expected the name of a parameter")
    if not value.strip():
        raise _Fault(len(text), "expected a value (none for no value)")
    return Setting(target or None, param, parse_value(value))


def _duration(text: str) -> float:
    number = _NUMBER.match(text)
    if number is None:
        raise _Fault(0, "expected a number of seconds, or a number and s, m or h")
    unit = text[number.end() :].strip().lower()
    if unit not in DURATIONS:
        raise _Fault(number.end(), f"unknown unit {unit!r}")
    value = float(Fraction(number[0])) * DURATIONS[unit]
    if value <= 0:
        raise _Fault(0, "a duration is positive")
    return value
