"""A display list as SVG: the markup that the page's script makes of the same list, so that static and live are one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from itertools import groupby

from attnprof.render.claims.evidence import PointState
from attnprof.render.layout.display import Anchor, Caption, Display, Dot, Role, Stroke

FILLED = (Role.BAND, Role.SHADE, Role.AREA)
SHAPES = {
    "circle": "M{l} {y}a{r} {r} 0 1 0 {d} 0a{r} {r} 0 1 0 -{d} 0Z",
    "square": "M{l} {t}h{d}v{d}h-{d}Z",
    "diamond": "M{x} {T}L{R} {y}L{x} {B}L{L} {y}Z",
    "up": "M{x} {T}L{R} {b}L{L} {b}Z",
    "down": "M{x} {B}L{R} {t}L{L} {t}Z",
    "cross": "M{l} {t}L{r2} {b}M{r2} {t}L{l} {b}",
    "plus": "M{x} {t}V{b}M{l} {y}H{r2}",
}


def num(value: float) -> str:
    """A length to a tenth, as short as can be."""
    return f"{round(value, 1):g}"


def marker_path(kind: str, x: float, y: float, r: float) -> str:
    """The outline of a marker around a place."""
    far = r * 1.35
    places = {
        "x": x, "y": y, "r": r, "d": 2 * r, "l": x - r, "r2": x + r, "t": y - r, "b": y + r,
        "L": x - far, "R": x + far, "T": y - far, "B": y + far,
    }  # fmt: skip
    return SHAPES[kind].format(**{key: num(v) for key, v in places.items()})


def svg(
    display: Display, tips: Mapping[int, str] | None = None, links: Mapping[int, str] | None = None, kind: str = ""
) -> str:
    """The figure as one element; `tips` and `links` by the number of the series."""
    tips, links = tips or {}, links or {}
    width, height = num(display.width), num(display.height)
    head = (
        f'<svg class="fig {kind}" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="{"group" if links else "img"}" aria-label="{escape(display.title)}">'
    )
    body = [stroke(s) for s in display.strokes]
    apart = bool(links)
    for _, same in groupby(enumerate(display.dots), lambda item: (item[0] if apart else 0, _look(item[1]))):
        dots = [d for _, d in same]
        body.append(_linked(dot(dots, tips.get(dots[0].series, "")), links.get(dots[0].series)))
    body += [text(t) for t in display.texts]
    return head + "".join(body) + "</svg>"


def _linked(inner: str, target: str | None) -> str:
    return inner if target is None else f'<a href="#{escape(target)}" tabindex="-1">{inner}</a>'


def _owner(series: int | None) -> str:
    return "" if series is None else f' s{series}" data-s="{series}'


def stroke(s: Stroke) -> str:
    """One stroke, or the area within it."""
    points = " ".join(f"{num(x)},{num(y)}" for x, y in s.places)
    tag = "polygon" if s.role in FILLED else "polyline"
    return f'<{tag} class="{s.role.value}{_owner(s.series)}" points="{points}"/>'


def _look(d: Dot) -> str:
    kind = "cross" if d.state is PointState.MEMORY else d.marker
    return f"{d.state.value} {kind}{_owner(d.series)}"


def dot(dots: Sequence[Dot], tip: str = "") -> str:
    """Dots that look the same, as one element; their state is a class."""
    inner = f"<title>{escape(tip)}</title>" if tip else ""
    kind = "cross" if dots[0].state is PointState.MEMORY else dots[0].marker
    path = "".join(marker_path(kind, d.x, d.y, d.r) for d in dots)
    return f'<path class="dot {_look(dots[0])}" d="{path}">{inner}</path>'


def text(t: Caption) -> str:
    """One text."""
    anchor = "" if t.anchor is Anchor.START else f' text-anchor="{t.anchor.value}"'
    place = f'x="{num(t.x)}" y="{num(t.y + t.size * 0.35)}" font-size="{num(t.size)}"'
    return f'<text class="{t.role.value}{_owner(t.series)}" {place}{anchor}>{escape(t.text)}</text>'
