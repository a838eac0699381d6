"""A display list as a TikZ picture: every place is given, every letter is the document's own font."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from attnprof.render.claims.evidence import PointState
from attnprof.render.latex import tex
from attnprof.render.layout.display import Anchor, Caption, Display, Dot, Role, Stroke
from attnprof.render.palette import Style

WAYS: Mapping[Role, str] = {
    Role.GRID: "black!14, line width=0.3pt",
    Role.AXIS: "black!50, line width=0.4pt",
    Role.BASE: "black, line width=0.4pt",
    Role.RULE: "black!50, line width=0.4pt, densely dotted",
    Role.FRONT: "black!50, line width=0.5pt",
    Role.LEADER: "black!50, line width=0.3pt",
    Role.WHISKER: "line width=0.5pt, opacity=0.7",
    Role.LINE: "line width=0.7pt, line join=round",
    Role.DASHED: "line width=0.5pt, densely dashed",
}
ANCHORS: Mapping[Anchor, str] = {Anchor.START: "west", Anchor.MIDDLE: "center", Anchor.END: "east"}


def tikz(display: Display, styles: Mapping[int, Style], about: str = "") -> str:
    """The figure, exactly `display.width` points wide; `styles` by the number of the series. Needs `tikz` alone."""
    used = sorted({s for s in _series(display) if s is not None})
    lines = [f"% {tex(display.title)}. {tex(about)}".rstrip(), r"\begin{tikzpicture}[x=1pt,y=1pt,inner sep=0pt]"]
    lines += [rf"\definecolor{{s{k}}}{{HTML}}{{{styles[k].light.lstrip('#').upper()}}}" for k in used]
    lines.append(rf"\path[use as bounding box] (0,0) rectangle ({display.width:.2f},{display.height:.2f});")
    lines += [_stroke(s, display.height) for s in display.strokes]
    lines += [_dot(d, display.height) for d in display.dots]
    lines += [_text(t, display.height) for t in display.texts]
    return "\n".join([*lines, r"\end{tikzpicture}%", ""])


def _series(display: Display) -> Iterator[int | None]:
    yield from (s.series for s in display.strokes)
    yield from (d.series for d in display.dots)
    yield from (t.series for t in display.texts)


def _at(x: float, y: float, height: float) -> str:
    return f"({x:.2f},{height - y:.2f})"


def _stroke(s: Stroke, height: float) -> str:
    path = " -- ".join(_at(x, y, height) for x, y in s.places)
    if s.role is Role.SHADE:
        return rf"\fill[black!5] {path} -- cycle;"
    if s.role in (Role.BAND, Role.AREA):
        faint = ", opacity=0.18" if s.role is Role.BAND else ""
        return rf"\fill[s{s.series}{faint}] {path} -- cycle;"
    own = "" if s.series is None or s.role is Role.LEADER else f"s{s.series}, "
    return rf"\draw[{own}{WAYS[s.role]}] {path};"


def _dot(d: Dot, height: float) -> str:
    fill = {PointState.PREDICTED: "white", PointState.FLAGGED: f"s{d.series}!34!white"}.get(d.state, f"s{d.series}")
    kind = "cross" if d.state is PointState.MEMORY else d.marker
    x, y, r = d.x, d.y, d.r
    draw = rf"\draw[s{d.series}, line width=0.5pt]"
    if kind == "cross":
        ends = ((x - r, y - r), (x + r, y + r)), ((x + r, y - r), (x - r, y + r))
    elif kind == "plus":
        ends = ((x - r, y), (x + r, y)), ((x, y - r), (x, y + r))
    else:
        shape = f"[draw=s{d.series}, fill={fill}, line width=0.4pt]"
        if kind == "circle":
            return rf"\filldraw{shape} {_at(x, y, height)} circle[radius={r:.2f}pt];"
        return rf"\filldraw{shape} {' -- '.join(_at(a, b, height) for a, b in corners(kind, x, y, r))} -- cycle;"
    return " ".join(f"{draw} {_at(*a, height)} -- {_at(*b, height)};" for a, b in ends)


def corners(kind: str, x: float, y: float, r: float) -> list[tuple[float, float]]:
    """The corners of a marker that has some."""
    far = r * 1.35
    if kind == "square":
        return [(x - r, y - r), (x + r, y - r), (x + r, y + r), (x - r, y + r)]
    if kind == "diamond":
        return [(x, y - far), (x + far, y), (x, y + far), (x - far, y)]
    sign = -1 if kind == "up" else 1
    return [(x, y + sign * far), (x + far, y - sign * r), (x - far, y - sign * r)]


def _text(t: Caption, height: float) -> str:
    size = f"\\fontsize{{{t.size:.2f}}}{{{t.size * 1.15:.2f}}}\\selectfont"
    colour = "" if t.series is None else f", text=s{t.series}"
    bold = r"\bfseries " if t.role.value == "head" else ""
    return rf"\node[anchor={ANCHORS[t.anchor]}{colour}] at {_at(t.x, t.y, height)} {{{size} {bold}{tex(t.text)}}};"
