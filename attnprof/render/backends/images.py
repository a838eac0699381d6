"""A display list as PDF and SVG by matplotlib, an extra that is left out where it is not installed."""

from __future__ import annotations

import importlib.util
import io
import tempfile
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attnprof.records import JsonDict
from attnprof.render.backends.pgf import corners
from attnprof.render.backends.svg import FILLED
from attnprof.render.claims.evidence import PointState
from attnprof.render.layout.display import Anchor, Display, Dot, Lettering, Role
from attnprof.render.palette import Style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SETTINGS: dict[Any, Any] = {
    "pdf.fonttype": 42,
    "svg.hashsalt": "attnprof",
    "svg.fonttype": "path",
}
FAMILY = "DejaVu Sans"
USUAL = frozenset(map(chr, range(32, 127))) | frozenset("×≈·–…≤≥†‡µ")
DROPPED = ("GSUB", "GPOS", "GDEF", "kern", "gasp", "FFTM")
QUIET = {"pdf": {"CreationDate": None, "ModDate": None}, "svg": {"Date": None}}
WAYS: Mapping[Role, JsonDict] = {
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
        figure = painted(display, styles)  # text stays text in a PDF, as Type 42
        for suffix, metadata in QUIET.items():
            out = io.BytesIO()
            figure.savefig(out, format=suffix, metadata=metadata)
            yield suffix, out.getvalue()


@cache
def _lean(weight: str, more: frozenset[str]) -> Path:
    """The font with the letters of a figure alone: whole, it is taken apart again for every file it is embedded in."""
    from fontTools import subset
    from matplotlib.font_manager import FontProperties, findfont

    options = subset.Options(layout_features=[], glyph_names=True, notdef_outline=True)
    options.drop_tables += DROPPED
    whole = subset.load_font(findfont(FontProperties(family=FAMILY, weight=weight)), options)
    cut = subset.Subsetter(options)
    cut.populate(text="".join(sorted(USUAL | more)))
    cut.subset(whole)
    path = Path(_folder().name) / f"{weight}-{len(list(Path(_folder().name).iterdir()))}.ttf"
    subset.save_font(whole, path, options)
    return path


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="attnprof-fonts-")


def painted(display: Display, styles: Mapping[int, Style]) -> Figure:
    """The figure of matplotlib: one pair of axes over all of it, in points."""
    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontProperties

    figure = Figure(figsize=(display.width / POINTS, display.height / POINTS))
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
    more = frozenset("".join(t.text for t in display.texts)) - USUAL
    fonts = {weight: FontProperties(fname=str(_lean(weight, more))) for weight in ("normal", "bold")}
    for t in display.texts:
        colour = "0.1" if t.series is None else styles[t.series].light
        weight = "bold" if t.role is Lettering.HEAD else "normal"
        place: JsonDict = {"ha": ALIGNED[t.anchor], "va": "center_baseline", "color": colour}
        written = axes.text(t.x, t.y, t.text, parse_math=False, fontproperties=fonts[weight], **place)
        written.set_fontsize(t.size * 72 / POINTS)
    return figure


def _dot(axes: Axes, d: Dot, colour: str) -> None:
    kind = "cross" if d.state is PointState.MEMORY else d.marker
    fill = {PointState.PREDICTED: "white", PointState.FLAGGED: _tint(colour)}.get(d.state, colour)
    if kind in ("cross", "plus"):
        mark = "x" if kind == "cross" else "+"
        axes.plot([d.x], [d.y], color=colour, linestyle="none", marker=mark, markersize=2 * d.r, zorder=3)
        return
    from matplotlib.patches import Circle, Polygon

    look: JsonDict = {"facecolor": fill, "edgecolor": colour, "linewidth": 0.4, "zorder": 3}
    shape = Circle((d.x, d.y), d.r, **look) if kind == "circle" else Polygon(corners(kind, d.x, d.y, d.r), **look)
    axes.add_patch(shape)


def _tint(colour: str) -> str:
    """A third of a colour on white."""
    parts = [int(colour[k : k + 2], 16) for k in (1, 3, 5)]
    return "#" + "".join(f"{round(255 - (255 - p) * 0.34):02x}" for p in parts)
