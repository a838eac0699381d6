"""The figures once more, as the data from which the page's script draws them with plotly."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from attnprof.quantities import Reading
from attnprof.render.axes import Axis
from attnprof.render.figures import Panel, SeriesLine
from attnprof.render.numbers import power, quantity
from attnprof.render.palette import Style
from attnprof.render.svg import Curve, Drawing
from attnprof.render.wording import definitions, status_short
from attnprof.units import format_length


def spec(figures: Mapping[str, Sequence[Drawing]], styles: Sequence[tuple[str, Style]]) -> str:
    """One JSON text, safe inside a script element; the same text for the same drawings."""
    data = {
        "figures": {name: [_panel(d) for d in drawings] for name, drawings in figures.items()},
        "styles": [_style(label, style) for label, style in styles],
        "names": {status: status_short(status) for status in definitions()["status"]},
    }
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False).replace("</", "<\\/")


def _style(label: str, style: Style) -> dict[str, Any]:
    return {"label": label, "dash": style.dash, "marker": style.marker, "ink": style.ink}


def _panel(drawing: Drawing) -> dict[str, Any]:
    panel = drawing.panel
    box = drawing.box
    span = drawing.bottom - box.top
    strip = box.top + box.row * len(drawing.rows)
    return {
        "x": _axis(panel.x),
        "y": _axis(panel.y),
        "box": {
            "w": box.width,
            "l": drawing.left,
            "r": _short(box.width - drawing.right),
            "t": box.top,
            "b": _short(box.height - drawing.bottom),
        },
        "split": _short((drawing.bottom - drawing.top) / span),
        "strip": _short((drawing.bottom - strip) / span) if drawing.rows else 0.99,
        "lines": [_line(drawing, c) for c in drawing.curves],
        "marks": [
            {
                "status": m.status,
                "n": m.n,
                "l": format_length(m.n),
                "s": None if m.style is None else m.style.index,
                "text": ", ".join(m.labels),
            }
            for m in panel.marks
        ],
    }


def _axis(axis: Axis) -> dict[str, Any]:
    return {
        "range": [_short(math.log10(axis.low)), _short(math.log10(axis.high))],
        "ticks": [t.value for t in axis.ticks],
        "labels": [t.label for t in axis.ticks],
    }


def _line(drawing: Drawing, curve: Curve) -> dict[str, Any]:
    line, panel = curve.line, drawing.panel
    readings = [(n, line.readings.get(n)) for n in _covered(panel, line)]
    bars = any(r is not None and r.high is not None for _, r in readings)
    return {
        "s": line.style.index,
        "strong": line.highlighted,
        "e": None if line.exponent is None else power(line.exponent),
        "at": _label(drawing, curve),
        "n": [n for n, _ in readings],
        "l": [format_length(n) for n, _ in readings],
        "v": [None if r is None else _short(r.value) for _, r in readings],
        "hi": [_side(r, 1) for _, r in readings] if bars else None,
        "lo": [_side(r, -1) for _, r in readings] if bars else None,
        "p": [int(r is not None and r.predicted) for _, r in readings],
        "t": ["" if r is None else _text(r, panel.metric.unit) for _, r in readings],
    }


def _label(drawing: Drawing, curve: Curve) -> list[float] | None:
    """The label's place, and the end of the line if a leader must join the two, as fractions of plot and strip."""
    if curve.label is None:
        return None
    ends = [(curve.label.x, curve.label.y), *([curve.end] if curve.label.leader else [])]
    return [part for x, y in ends for part in _fractions(drawing, x, y)]


def _fractions(drawing: Drawing, x: float, y: float) -> tuple[float, float]:
    across = (x - drawing.left) / (drawing.right - drawing.left)
    return _short(across), _short((drawing.bottom - y) / (drawing.bottom - drawing.box.top))


def _covered(panel: Panel, line: SeriesLine) -> list[int]:
    """The lengths from the first to the last reading: a gap between them stays a gap."""
    first, last = min(line.readings), max(line.readings)
    return [n for n in panel.lengths if first <= n <= last]


def _side(reading: Reading | None, sign: int) -> float | None:
    if reading is None or reading.low is None or reading.high is None:
        return None
    return _short(reading.high - reading.value if sign > 0 else reading.value - reading.low)


def _text(reading: Reading, unit: str) -> str:
    text = quantity(reading.value, unit)
    if reading.low is not None and reading.high is not None:
        text += f" [{quantity(reading.low, unit)}, {quantity(reading.high, unit)}]"
    return f"{text}, predicted" if reading.predicted else text


def _short(value: float) -> float:
    return float(f"{value:.7g}")
