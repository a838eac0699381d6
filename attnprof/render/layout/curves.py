"""Cost against n: small multiples by family on one scale, the baselines in each."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from attnprof.render.claims.evidence import ByLength, PointState
from attnprof.render.layout.axes import (
    length_scale,
    linear_lengths,
    linear_scale,
    ticks_below,
    ticks_beside,
    value_scale,
)
from attnprof.render.layout.display import Anchor, Box, Caption, Display, Dot, Lettering, Place, Role, Scale, Stroke
from attnprof.render.layout.labels import along, place, spread
from attnprof.render.layout.lettering import text_width
from attnprof.render.palette import Style

MOST_LINES = 8


@dataclass(frozen=True, slots=True)
class PanelBox:
    """The size of a panel, of its letters and dots, and the room for labels beside it."""

    width: float = 428
    height: float = 250
    size: float = 11.5
    dot: float = 2.6
    room: float = 90
    labels: bool = True
    linear: bool = False
    shares: bool = False  # upwards from zero, lengths logarithmic as ever
    left: float | None = None
    head: float = 26
    foot: float = 22


@dataclass(frozen=True)
class Curve:
    """One series of a panel."""

    label: str
    style: Style
    points: ByLength


def parts(curves: Sequence[Curve], most: int = MOST_LINES) -> list[Sequence[Curve]]:
    """Curves in runs of at most so many, as even as can be."""
    count = math.ceil(len(curves) / most)
    size = math.ceil(len(curves) / max(count, 1))
    return [curves[k * size : (k + 1) * size] for k in range(count)]


def panel(
    title: str,
    own: Sequence[Curve],
    base: Sequence[Curve],
    lengths: Sequence[int],
    unit: str,
    values: Sequence[float],
    box: PanelBox,
    now: int | None = None,
) -> Display:
    """One panel: `own` curves with their labels, `base` behind them. `values` are those that the scale must hold.

    Solid through points that have an interval or are counted, dashed to those predicted; a cross where the next length
    does not fit in memory. A line that ends before the frame is labelled where it ends, the others at the right.
    """
    drawn = [c for c in (*base, *own) if any(p.state.valued for p in c.points.values())]
    right = box.width - (box.room + 16 if box.labels else box.size * 1.2)
    make = linear_scale if box.linear or box.shares else value_scale
    y = make(values, unit, box.height - box.foot, box.head)
    left = margin(y, box)
    across = linear_lengths if box.linear else length_scale
    x = across(lengths, left + 2 * box.dot, right - (2 * box.dot if box.labels else 0), box.size)
    grid, ticks = ticks_beside(y, left, right, box.size)
    texts = [Caption(2, box.size * 0.65, title, Lettering.HEAD, size=box.size * 1.1)] if title else []
    texts += [*ticks, *ticks_below(x, box.height - box.foot, box.size)]
    strokes: list[Stroke] = [*grid]
    if now is not None:
        strokes.append(Stroke(((x.at(now), box.head), (x.at(now), box.height - box.foot)), Role.RULE))
    dots: list[Dot] = []
    for curve in drawn:
        lines, marks = line(curve, x, y, box.dot)
        strokes += lines
        dots += marks
    without: list[int] = []
    if box.labels:
        labels, leaders, without = _ends(drawn, x, y, (left, right), box, strokes, dots, texts)
        texts += labels
        strokes += leaders
    return Display(box.width, box.height, title, x, y, tuple(strokes), tuple(dots), tuple(texts), tuple(without))


def line(curve: Curve, x: Scale, y: Scale, r: float) -> tuple[list[Stroke], list[Dot]]:
    """The strokes and dots of one curve: what was measured or counted, what was predicted, what does not fit."""
    index = curve.style.index
    known = [(n, p) for n, p in sorted(curve.points.items()) if p.state.valued and p.value]
    places = {n: (round(2 * x.at(n)) / 2, round(2 * y.at(p.value or 1.0)) / 2) for n, p in known}
    strokes: list[Stroke] = []
    for predicted, role in ((False, Role.LINE), (True, Role.DASHED)):
        found = [run for run in runs(curve.points, predicted=predicted) if len(run) > 1]
        strokes += [Stroke(tuple(places[n] for n in run), role, index) for run in found]
    for n, p in known:
        if p.low is not None and p.high is not None and p.state is not PointState.PREDICTED:
            low, high = (round(2 * y.at(max(v, y.low * 1.0001))) / 2 for v in (p.low, p.high))
            if low - high > 2 * r:
                strokes.append(Stroke(((places[n][0], low), (places[n][0], high)), Role.WHISKER, index))
    dots = [Dot(*places[n], r, p.state, index, curve.style.marker, n) for n, p in known]
    beyond = [n for n, p in curve.points.items() if p.state is PointState.MEMORY]
    if beyond and known and min(beyond) > known[-1][0]:
        at = places[known[-1][0]]
        dots.append(Dot(at[0] + 4 * r, at[1], r, PointState.MEMORY, index, "cross", min(beyond)))
    return strokes, dots


def runs(points: ByLength, *, predicted: bool) -> list[list[int]]:
    """Neighbouring lengths that a stroke joins: all that are sure, or each pair of which one is predicted."""
    found: list[list[int]] = [[]]
    ordered = sorted(points)
    if predicted:
        pairs = pairwise(ordered)
        return [
            [a, b]
            for a, b in pairs
            if points[a].state.valued
            and points[b].state.valued
            and PointState.PREDICTED in (points[a].state, points[b].state)
        ]
    for n in ordered:
        if points[n].state.valued and points[n].state is not PointState.PREDICTED:
            found[-1].append(n)
        elif found[-1]:
            found.append([])
    return [run for run in found if run]


def _ends(
    drawn: Sequence[Curve],
    x: Scale,
    y: Scale,
    sides: tuple[float, float],
    box: PanelBox,
    strokes: Sequence[Stroke],
    dots: Sequence[Dot],
    texts: Sequence[Caption],
) -> tuple[list[Caption], list[Stroke], list[int]]:
    """Labels where lines end: in a column at the right for those that reach the frame, else beside their last point."""
    last = {c.label: max((d for d in dots if d.series == c.style.index), key=lambda d: d.x) for c in drawn}
    far = [c for c in drawn if last[c.label].x >= x.end - 1]
    near = [c for c in drawn if c not in far]
    heights = spread([last[c.label].y for c in far], box.size * 1.16, box.head - 4, box.height - box.foot)
    labels, leaders, without = [], [], []
    for curve, height in zip(far, heights, strict=True):
        end, index = last[curve.label], curve.style.index
        labels.append(Caption(sides[1] + 8, height, curve.label, Lettering.LABEL, size=box.size, series=index))
        if abs(height - end.y) > 3:
            leaders.append(Stroke(((end.x + end.r + 1, end.y), (sides[1] + 6, height)), Role.LEADER, index))
    solid: list[Box] = [d.box for d in dots] + [t.box for t in texts if t.role is not Lettering.TICK]
    solid += [t.box for t in texts if t.anchor is Anchor.MIDDLE]
    thin = [b for s in strokes if s.role in (Role.LINE, Role.DASHED) for b in along(s.places)]
    sizes = [(text_width(c.label, box.size), box.size * 1.05) for c in near]
    anchors = [(last[c.label].x, last[c.label].y, box.dot) for c in near]
    frame = (sides[0] + 2, box.head - 6, sides[1] + 4, box.height - box.foot)
    for curve, (width, _), centre in zip(near, sizes, place(anchors, sizes, frame, solid, thin), strict=True):
        if centre is None:
            without.append(curve.style.index)
            continue
        index = curve.style.index
        start: Place = (round(centre[0] - width / 2, 1), centre[1])
        labels.append(Caption(*start, curve.label, Lettering.LABEL, size=box.size, series=index))
    return labels, leaders, without


def margin(scale: Scale, box: PanelBox) -> float:
    """The room that the labels of an upward scale need at the left."""
    if box.left is not None:
        return box.left
    return max((text_width(label, box.size) for _, label in scale.ticks), default=0.0) + box.size * 0.75


def room_for(curves: Sequence[Curve], box: PanelBox) -> PanelBox:
    """The box with room for the longest label of these curves, so that all panels of a figure have one scale."""
    longest = max((text_width(c.label, box.size) for c in curves), default=0.0)
    return dataclasses.replace(box, room=min(longest, box.width * 0.36))


def bounds(curves: Sequence[Curve]) -> list[float]:
    """Every value and bound that a scale for these curves must hold."""
    return [
        v
        for c in curves
        for p in c.points.values()
        if p.state.valued
        for v in (p.value, p.low, p.high)
        if v is not None and v > 0
    ]
