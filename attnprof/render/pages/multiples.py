"""The curves of a view: small multiples by family, and the frames in which two pinned series are held side by side."""

from __future__ import annotations

from collections.abc import Mapping

from attnprof.render.claims.evidence import ByLength
from attnprof.render.claims.sight import reach_curve
from attnprof.render.layout.axes import length_scale, ticks_below, ticks_beside, value_scale
from attnprof.render.layout.curves import Curve, PanelBox, bounds, line, panel, parts, room_for
from attnprof.render.layout.display import Display, Dot, Role, Scale, Stroke
from attnprof.render.layout.reaching import LEFT, Reaching, reach_frame
from attnprof.render.pages.view import CURVES, CurveKind, PageView
from attnprof.render.palette import EXACT, Style, families

PAIR = PanelBox(428, 230, labels=False, head=12)


def multiples(
    view: PageView,
    kind: CurveKind,
    points: Mapping[str, ByLength],
    styles: Mapping[str, Style],
    box: PanelBox | None = None,
) -> list[Display]:
    """One panel a family, all on one scale; a family of many lines in several. The exact ones stand in each."""
    curves = [Curve(label, styles[label], found) for label, found in points.items()]
    base = [c for c in curves if c.label in {s.label for s in view.group.baselines}]
    values = bounds(curves)
    fitted = room_for(curves, box or PanelBox())
    drawn: list[Display] = []
    for key, family in families().items():
        own = [c for c in curves if c.style.family == key and c not in base and _valued(c)]
        for k, some in enumerate(found := parts(own)):
            title = family["title"] + (f" {k + 1}" if len(found) > 1 else "")
            drawn.append(panel(title, some, base, view.lengths, kind.unit, values, fitted, view.usual))
    if not drawn:
        title = families()[EXACT]["title"]
        drawn.append(panel(title, [], base, view.lengths, kind.unit, values, fitted, view.usual))
    return drawn


def _valued(curve: Curve) -> bool:
    return any(p.state.valued for p in curve.points.values())


def pair_panel(view: PageView, styles: Mapping[str, Style]) -> Display | None:
    """Every series' cost over the baseline's with its band, in one frame: the page shows the two that are pinned."""
    kind = next(k for k in CURVES if k.key == "rel")
    if not view.metrics:
        return None
    curves = [Curve(s.label, styles[s.label], kind.points(view, s)) for s in view.group.series]
    values = bounds(curves)
    if not values:
        return None
    x = length_scale(view.lengths, LEFT + 6, PAIR.width - 16, PAIR.size)
    y = value_scale([*values, 1.0], kind.unit, PAIR.height - PAIR.foot, PAIR.head)
    grid, ticks = ticks_beside(y, LEFT, PAIR.width - 10, PAIR.size)
    strokes = [*grid, Stroke(((LEFT, y.at(1)), (PAIR.width - 10, y.at(1))), Role.BASE)]
    dots: list[Dot] = []
    for curve in curves:
        strokes += _bands(curve, x, y)
        lines, marks = line(curve, x, y, PAIR.dot)
        strokes += [s for s in lines if s.role is not Role.WHISKER]
        dots += marks
    texts = (*ticks, *ticks_below(x, PAIR.height - PAIR.foot, PAIR.size))
    title = "cost over the baseline's against n"
    return Display(PAIR.width, PAIR.height, title, x, y, tuple(strokes), tuple(dots), texts)


def _bands(curve: Curve, x: Scale, y: Scale) -> list[Stroke]:
    """The area between the bounds, where there are any."""
    known = [(n, p.low, p.high) for n, p in sorted(curve.points.items()) if p.low and p.high]
    if len(known) < 2:
        return []
    low = [(round(x.at(n), 1), round(y.at(b), 1)) for n, b, _ in known if b]
    high = [(round(x.at(n), 1), round(y.at(b), 1)) for n, _, b in known if b]
    return [Stroke((*low, *reversed(high)), Role.BAND, curve.style.index)]


def reach_panel(view: PageView, styles: Mapping[str, Style]) -> Display | None:
    """The reach of every series whose pattern was analysed, in one frame."""
    if view.conditions.causal is None:
        return None
    found = []
    for series in view.group.series:
        curve = reach_curve(view.graphs, series.target, view.conditions.causal)
        if curve is not None:
            found.append(Reaching(series.label, styles[series.label], curve[1]))
    return reach_frame(found, PAIR.width, PAIR.height) if found else None
