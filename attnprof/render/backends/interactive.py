"""A display list as a figure of plotly: the same strokes and dots, their places given back as values by the scales."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from attnprof.render.claims.evidence import PointState
from attnprof.render.layout.display import Display, Role, Scale
from attnprof.render.palette import Style

SYMBOLS = {"circle": "circle", "square": "square", "diamond": "diamond", "up": "triangle-up", "down": "triangle-down"}
SYMBOLS |= {"cross": "x-thin", "plus": "cross-thin"}
DRAWN = (Role.LINE, Role.DASHED, Role.WHISKER, Role.FRONT, Role.BASE)


def value(scale: Scale, place: float) -> float:
    """The value at a place of a scale."""
    share = (place - scale.start) / (scale.end - scale.start)
    if scale.log:
        return float(scale.low * (scale.high / scale.low) ** share)
    return scale.low + (scale.high - scale.low) * share


def plotly_figure(
    panels: Sequence[Display], styles: Mapping[int, Style], labels: Mapping[int, str], caption: str = ""
) -> dict[str, object]:
    """Data and layout as plain values, which `plotly.graph_objects.Figure` takes: one pair of axes a panel."""
    columns = min(len(panels), 3)
    layout: dict[str, object] = {
        "showlegend": False,
        "title": {"text": caption, "font": {"size": 12}},
        "grid": {"rows": -(-len(panels) // columns), "columns": columns, "pattern": "independent"},
        "template": "none",
    }
    data: list[dict[str, object]] = []
    for k, panel in enumerate(panels):
        name = "" if k == 0 else str(k + 1)
        layout[f"xaxis{name}"] = _axis(panel.x, "")
        layout[f"yaxis{name}"] = _axis(panel.y, panel.title if len(panels) > 1 else "")
        axes = {"xaxis": f"x{name}", "yaxis": f"y{name}"}
        data += [{**trace, **axes} for trace in _traces(panel, styles, labels)]
    return {"data": data, "layout": layout}


def _axis(scale: Scale, title: str) -> dict[str, object]:
    upwards = [scale.low, scale.high]
    ends = [math.log10(v) for v in upwards] if scale.log else upwards
    return {
        "type": "log" if scale.log else "linear",
        "range": ends,
        "tickvals": [v for v, _ in scale.ticks],
        "ticktext": [label for _, label in scale.ticks],
        "title": {"text": title},
        "zeroline": False,
    }


def _traces(panel: Display, styles: Mapping[int, Style], labels: Mapping[int, str]) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for s in panel.strokes:
        if s.role in DRAWN or s.role is Role.AREA:
            colour = "#6d7178" if s.series is None else styles[s.series].light
            dash = "dot" if s.role is Role.DASHED else "solid"
            place = {"x": [value(panel.x, x) for x, _ in s.places], "y": [value(panel.y, y) for _, y in s.places]}
            look = {"color": colour, "dash": dash, "width": 1.4}
            full = {"fill": "toself", "fillcolor": colour} if s.role is Role.AREA else {}
            found.append({"type": "scatter", "mode": "lines", **place, "line": look, "hoverinfo": "skip", **full})
    for series in dict.fromkeys(d.series for d in panel.dots):
        dots = [d for d in panel.dots if d.series == series]
        colour = styles[series].light
        hollow = [d.state is PointState.PREDICTED for d in dots]
        marker = {
            "size": [2 * d.r for d in dots],
            "symbol": [SYMBOLS[d.marker] for d in dots],
            "color": ["#ffffff" if empty else colour for empty in hollow],
            "opacity": [0.5 if d.state is PointState.FLAGGED else 1.0 for d in dots],
            "line": {"color": colour, "width": 1},
        }
        place = {"x": [value(panel.x, d.x) for d in dots], "y": [value(panel.y, d.y) for d in dots]}
        told = [f"{labels[series]}, {d.state.value}" for d in dots]
        found.append(
            {"type": "scatter", "mode": "markers", "name": labels[series], **place, "marker": marker, "text": told}
        )
    return found
