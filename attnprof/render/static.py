"""A panel as PDF and SVG by matplotlib, for authors without pgfplots: an extra, left out where it is not installed."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Iterator
from typing import Any

from attnprof.render.figures import Panel
from attnprof.render.numbers import power
from attnprof.render.pgf import paper_box
from attnprof.render.svg import Curve, Drawing, draw
from attnprof.render.wording import metric_title, status_short

MARKERS = {"circle": "o", "square": "s", "diamond": "D", "up": "^", "down": "v", "cross": "x", "plus": "+"}
GLYPHS = {
    "oom": "x",
    "predicted_oom": "$\\otimes$",
    "over_budget": "$\\odot$",
    "timeout": "d",
    "unsupported": "_",
    "failed": "|",
    "killed": "s",
    "missing": "$\\emptyset$",
}
STYLE: dict[Any, Any] = {
    "pdf.fonttype": 42,
    "svg.hashsalt": "attnprof",
    "svg.fonttype": "path",
    "font.size": 6,
    "axes.linewidth": 0.4,
    "font.family": "DejaVu Sans",
}
QUIET = {"pdf": {"CreationDate": None, "ModDate": None}, "svg": {"Date": None}}


def drawn(panel: Panel, width_pt: float) -> Iterator[tuple[str, bytes]]:
    """The panel as `pdf` and `svg`, that many points wide, the same bytes each time; nothing without matplotlib."""
    if importlib.util.find_spec("matplotlib") is None:
        return
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    drawing = draw(panel, paper_box(width_pt))
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(drawing.box.width / 72.27, drawing.box.height / 72.27 + 0.16))
        FigureCanvasAgg(figure)
        _paint(figure, drawing)
        for suffix, metadata in QUIET.items():
            out = io.BytesIO()
            figure.savefig(out, format=suffix, metadata=metadata)
            yield suffix, out.getvalue()


def _paint(figure: Any, drawing: Drawing) -> None:
    box, panel = drawing.box, drawing.panel
    total = figure.get_figheight() * 72.27
    frame = (
        drawing.left / box.width,
        box.bottom / total,
        (drawing.right - drawing.left) / box.width,
        (drawing.bottom - drawing.top) / total,
    )
    axes = figure.add_axes(frame)
    axes.set(xscale="log", yscale="log", xlim=(panel.x.low, panel.x.high), ylim=(panel.y.low, panel.y.high))
    axes.set_xticks([t.value for t in panel.x.ticks], [t.label for t in panel.x.ticks], minor=False)
    axes.set_yticks([t.value for t in panel.y.ticks], [t.label for t in panel.y.ticks], minor=False)
    axes.minorticks_off()
    axes.grid(axis="y", color="0.9", linewidth=0.4)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(length=2, width=0.4, color="0.5")
    axes.set_xlabel("n", style="italic", labelpad=1)
    figure.text(0.01, 1 - 1.5 / total, metric_title(panel.metric.key), weight="bold", va="top", size=7)
    for curve in drawing.curves:
        _line(axes, drawing, curve)
    _strip(axes, drawing)


def _line(axes: Any, drawing: Drawing, curve: Curve) -> None:
    line = curve.line
    colour = line.style.light if line.highlighted else "0.75"
    for piece in line.pieces(drawing.panel.lengths):
        dashes = tuple(float(x) * 0.45 for x in line.style.dash.split()) if line.highlighted else ()
        width = (1.0 if line.style.ink else 0.8) if line.highlighted else 0.4
        (stroke,) = axes.plot(piece, [line.readings[n].value for n in piece], color=colour, linewidth=width)
        if dashes:
            stroke.set_dashes(dashes)
    if not line.highlighted:
        return
    look = {"marker": MARKERS[line.style.marker], "markersize": 2.6, "linestyle": "none", "color": colour}
    for n, reading in sorted(line.readings.items()):
        face = "white" if reading.predicted else colour
        axes.plot([n], [reading.value], markerfacecolor=face, markeredgewidth=0.5, **look)
        if reading.low is not None and reading.high is not None:
            axes.plot([n, n], [reading.low, reading.high], color=colour, linewidth=0.5)
    if curve.label is not None:
        exponent = "" if line.exponent is None else f" $n^{{{power(line.exponent)}}}$"
        at, end = _fraction(drawing, curve.label.x, curve.label.y), _fraction(drawing, *curve.end)
        place = {"transform": axes.transAxes, "clip_on": False, "color": colour}
        axes.text(*at, line.label + exponent, ha="left", va="center", **place)
        if curve.label.leader:
            axes.plot([end[0], at[0] - 0.01], [end[1], at[1]], linewidth=0.4, linestyle=":", **place)


def _strip(axes: Any, drawing: Drawing) -> None:
    across = axes.transAxes
    for status, y in drawing.rows:
        at = _fraction(drawing, drawing.right, y)
        axes.text(at[0] + 0.03, at[1], status_short(status), transform=across, va="center", color="0.4")
    for x, y, k in drawing.marks:
        mark = drawing.panel.marks[k]
        colour = "0.4" if mark.style is None else mark.style.light
        glyph = GLYPHS[mark.status]
        look = {"marker": glyph, "markersize": 4, "color": colour, "markeredgewidth": 0 if "$" in glyph else 0.6}
        at = _fraction(drawing, x, y)
        axes.plot([at[0]], [at[1]], transform=across, clip_on=False, linestyle="none", **look)


def _fraction(drawing: Drawing, x: float, y: float) -> tuple[float, float]:
    """A place of the drawing as fractions of the axes."""
    return (x - drawing.left) / (drawing.right - drawing.left), (drawing.bottom - y) / (drawing.bottom - drawing.top)
