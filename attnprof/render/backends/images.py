"""A display list as PDF and SVG by matplotlib, an extra that is left out where it is not installed."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Iterator, Mapping
from typing import Any

from attnprof.render.backends.pgf import corners
from attnprof.render.backends.svg import FILLED
from attnprof.render.claims.evidence import PointState
from attnprof.render.layout.display import Anchor, Display, Dot, Lettering, Role
from attnprof.render.palette import Style

SETTINGS: dict[Any, Any] = {
    "pdf.fonttype": 42,
    "svg.hashsalt": "attnprof",
    "svg.fonttype": "path",
    "font.family": "DejaVu Sans",
}
QUIET = {"pdf": {"CreationDate": None, "ModDate": None}, "svg": {"Date": None}}
WAYS: Mapping[Role, dict[str, Any]] = {
    Role.GRID: {"color": "0.88", "linewidth": 0.3},
    Role.AXIS: {"color": "0.5", "linewidth": 0.4},
    Role.BASE: {"color": "0.1", "linewidth": 0.4},
    Role.RULE: {"color": "0.5", "linewidth": 0.4, "linestyle": ":"},
    Role.FRONT: {"color": "0.5", "linewidth": 0.5},
    Role.LEADER: {"color": "0.5", "linewidth": 0.3},
    Role.WHISKER: {"linewidth": 0.5, "alpha": 0.7},
    Role.LINE: {"linewidth": 0.7},
    Role.DASHED: {"linewidth": 0.5, "linestyle": (0, (3, 2))},
}
POINTS = 72.27
ALIGNED: Mapping[Anchor, str] = {Anchor.START: "left", Anchor.MIDDLE: "center", Anchor.END: "right"}


def drawn(display: Display, styles: Mapping[int, Style]) -> Iterator[tuple[str, bytes]]:
    """The figure as `pdf` and `svg`, as wide as it says, the same bytes each time; nothing without matplotlib."""
    if importlib.util.find_spec("matplotlib") is None:
        return
    import matplotlib

    with matplotlib.rc_context(SETTINGS):
        figure = painted(display, styles)
        for suffix, metadata in QUIET.items():
            out = io.BytesIO()
            figure.savefig(out, format=suffix, metadata=metadata)
            yield suffix, out.getvalue()


def painted(display: Display, styles: Mapping[int, Style]) -> Any:
    """The figure of matplotlib: one pair of axes over all of it, in points."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(display.width / POINTS, display.height / POINTS))
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, display.width), ylim=(display.height, 0))
    axes.set_axis_off()
    for s in display.strokes:
        xs, ys = [x for x, _ in s.places], [y for _, y in s.places]
        own = {} if s.series is None or s.role is Role.LEADER else {"color": styles[s.series].light}
        if s.role in FILLED:
            colour = "0.95" if s.series is None else styles[s.series].light
            alpha = 0.18 if s.role is Role.BAND else 1.0
            axes.fill(xs, ys, linewidth=0, color=colour, alpha=alpha)
        else:
            axes.plot(xs, ys, solid_joinstyle="round", **{**WAYS[s.role], **own})
    for d in display.dots:
        _dot(axes, d, styles[d.series].light)
    for t in display.texts:
        colour = "0.1" if t.series is None else styles[t.series].light
        weight = "bold" if t.role is Lettering.HEAD else "normal"
        place: dict[str, Any] = {"ha": ALIGNED[t.anchor], "va": "center_baseline", "color": colour, "weight": weight}
        axes.text(t.x, t.y, t.text, fontsize=t.size * 72 / POINTS, parse_math=False, **place)
    return figure


def _dot(axes: Any, d: Dot, colour: str) -> None:
    kind = "cross" if d.state is PointState.MEMORY else d.marker
    fill = {PointState.PREDICTED: "white", PointState.FLAGGED: _tint(colour)}.get(d.state, colour)
    if kind in ("cross", "plus"):
        mark = "x" if kind == "cross" else "+"
        axes.plot([d.x], [d.y], color=colour, linestyle="none", marker=mark, markersize=2 * d.r, zorder=3)
        return
    from matplotlib.patches import Circle, Polygon

    look: dict[str, Any] = {"facecolor": fill, "edgecolor": colour, "linewidth": 0.4, "zorder": 3}
    shape = Circle((d.x, d.y), d.r, **look) if kind == "circle" else Polygon(corners(kind, d.x, d.y, d.r), **look)
    axes.add_patch(shape)


def _tint(colour: str) -> str:
    """A third of a colour on white."""
    parts = [int(colour[k : k + 2], 16) for k in (1, 3, 5)]
    return "#" + "".join(f"{round(255 - (255 - p) * 0.34):02x}" for p in parts)
