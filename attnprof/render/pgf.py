"""A panel as pgfplots source: the drawing of the page, in points and in the document's own font."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attnprof.quantities import Reading
from attnprof.render.figures import Panel
from attnprof.render.latex import latex
from attnprof.render.palette import Style
from attnprof.render.svg import Box, Curve, Drawing, draw

MARKERS = {
    "circle": ("*", ""),
    "square": ("square*", ""),
    "diamond": ("diamond*", ""),
    "up": ("triangle*", ""),
    "down": ("triangle*", "rotate=180"),
    "cross": ("x", ""),
    "plus": ("+", ""),
}


GLYPHS = {
    "oom": r"$\times$",
    "predicted_oom": r"$\otimes$",
    "over_budget": r"$\odot$",
    "timeout": r"$\bowtie$",
    "unsupported": "--",
    "failed": r"\textbf{!}",
    "killed": r"$\square$",
    "missing": r"$\varnothing$",
}


def paper_box(width: float) -> Box:
    """The sizes of a panel of that many points: 6 pt labels, a height of two thirds."""
    return Box(
        width=width,
        height=0.66 * width,
        left=41,
        bottom=26,
        top=2,
        row=8,
        label=7.2,
        character=3.6,
        room=(40, 92),
    )


def figure_tex(panel: Panel, width_pt: float, about: Mapping[str, Any]) -> str:
    """One `tikzpicture` of that width; `about` says the `conditions` and names the file of its `data`."""
    drawing = draw(panel, paper_box(width_pt))
    context = {
        "panel": panel,
        "drawing": drawing,
        "curves": [_curve(drawing, c) for c in drawing.curves],
        "colours": _colours(panel),
        "rows": [(status, _rel(drawing, y)) for status, y in drawing.rows],
        "marks": [(panel.marks[k], _rel(drawing, y)) for _, y, k in drawing.marks],
        "width": drawing.right - drawing.left,
        "height": drawing.bottom - drawing.top,
        "glyph": GLYPHS,
        "colour": colour,
        "num": lambda value: f"{value:.7g}",
        **about,
    }
    return latex().get_template("figure.tex.j2").render(context)


def colour(style: Style) -> str:
    """The name under which a figure defines the colour of a series."""
    return f"attnprof{style.hue}"


def _colours(panel: Panel) -> dict[str, str]:
    """Every colour that the panel uses, as a name and its six digits."""
    used = [line.style for line in panel.lines] + [m.style for m in panel.marks if m.style is not None]
    return {colour(style): style.light.removeprefix("#").upper() for style in used}


def _curve(drawing: Drawing, curve: Curve) -> dict[str, Any]:
    line = curve.line
    mark, turn = MARKERS[line.style.marker]
    known = sorted(line.readings.items())
    return {
        "line": line,
        "colour": colour(line.style),
        "dash": _dash(line.style.dash),
        "mark": mark,
        "turn": turn,
        "pieces": [[(n, line.readings[n].value) for n in piece] for piece in line.pieces(drawing.panel.lengths)],
        "sure": [_dot(n, r) for n, r in known if not r.predicted],
        "predicted": [_dot(n, r) for n, r in known if r.predicted],
        "label": _label(drawing, curve),
    }


def _dash(dash: str) -> str:
    if not dash:
        return "solid"
    on, off = (float(part) * 0.45 for part in dash.split())
    return f"dash pattern=on {on:.2f}pt off {off:.2f}pt"


def _dot(n: int, reading: Reading) -> tuple[int, float, float, float]:
    up = 0.0 if reading.high is None else reading.high - reading.value
    down = 0.0 if reading.low is None else reading.value - reading.low
    return n, reading.value, up, down


def _label(drawing: Drawing, curve: Curve) -> dict[str, Any] | None:
    """Where the label stands and, with a leader, where the line ends: fractions of the axes."""
    if curve.label is None:
        return None
    width = drawing.right - drawing.left
    at = ((curve.label.x - drawing.left) / width, _rel(drawing, curve.label.y))
    end = ((curve.end[0] - drawing.left) / width, _rel(drawing, curve.end[1]))
    return {"at": at, "end": end if curve.label.leader else None}


def _rel(drawing: Drawing, y: float) -> float:
    return (drawing.bottom - y) / (drawing.bottom - drawing.top)
