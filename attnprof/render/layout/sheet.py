"""A figure of a paper: panels side by side on one sheet, with one legend above them all."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from attnprof.render.claims.evidence import PointState
from attnprof.render.layout.curves import Curve, PanelBox, bounds, panel
from attnprof.render.layout.display import Caption, Display, Dot, Lettering, Role, Scale, Stroke
from attnprof.render.layout.lettering import text_width

NARROWEST = 124.0
GAP = 8.0
SIZE = 6.4


@dataclasses.dataclass(frozen=True)
class PanelPlan:
    """What one panel of a sheet shows."""

    title: str
    unit: str
    curves: Sequence[Curve]


def columns_for(width: float, count: int) -> int:
    """How many panels stand beside each other: as many as keep their numbers legible, evenly."""
    most = max(int((width + GAP) // (NARROWEST + GAP)), 1)
    rows = -(-count // min(most, count))
    return -(-count // rows)


def sheet(
    title: str, plans: Sequence[PanelPlan], lengths: Sequence[int], width: float, *, linear: bool = False
) -> tuple[Display, tuple[Display, ...]]:
    """The whole figure, and its panels at the places where they stand in it. Lengths are in points.

    The legend holds every series of the panels, once; the panels have no labels of their own.
    """
    known = {c.label: c for plan in plans for c in plan.curves}
    legend, height = _legend(list(known.values()), width)
    columns = columns_for(width, len(plans))
    across = (width - GAP * (columns - 1)) / columns
    down = min(max(across * 0.8, 112.0), 150.0)
    box = PanelBox(across, down, SIZE, 1.35, labels=False, linear=linear, head=SIZE * 1.7, foot=SIZE * 1.65)
    made = []
    for k, plan in enumerate(plans):
        own = panel(plan.title, list(plan.curves), [], lengths, plan.unit, bounds(plan.curves), box)
        made.append(moved(own, k % columns * (across + GAP), height + k // columns * (down + GAP)))
    rows = -(-len(plans) // columns)
    whole = Display(
        width,
        height + rows * (down + GAP) - GAP,
        title,
        made[0].x,
        made[0].y,
        (*legend.strokes, *(s for d in made for s in d.strokes)),
        (*legend.dots, *(s for d in made for s in d.dots)),
        (*legend.texts, *(s for d in made for s in d.texts)),
    )
    return whole, tuple(made)


def moved(display: Display, right: float, down: float) -> Display:
    """The figure at another place of a sheet."""
    return dataclasses.replace(
        display,
        x=_moved_scale(display.x, right),
        y=_moved_scale(display.y, down),
        strokes=tuple(
            dataclasses.replace(s, places=tuple((x + right, y + down) for x, y in s.places)) for s in display.strokes
        ),
        dots=tuple(dataclasses.replace(d, x=d.x + right, y=d.y + down) for d in display.dots),
        texts=tuple(dataclasses.replace(t, x=t.x + right, y=t.y + down) for t in display.texts),
    )


def _moved_scale(scale: Scale, by: float) -> Scale:
    return dataclasses.replace(scale, start=scale.start + by, end=scale.end + by)


def _legend(curves: Sequence[Curve], width: float) -> tuple[Display, float]:
    """Rows of a stroke, a marker and a name each, as many in a row as fit; and how high they are together."""
    key, pad, high = 13.0, 9.0, SIZE * 1.6
    strokes: list[Stroke] = []
    dots: list[Dot] = []
    texts: list[Caption] = []
    x, y = 2.0, high / 2
    for curve in curves:
        need = key + 3 + text_width(curve.label, SIZE)
        if x + need > width and x > 2:
            x, y = 2.0, y + high
        index = curve.style.index
        strokes.append(Stroke(((x, y), (x + key, y)), Role.LINE, index))
        dots.append(Dot(x + key / 2, y, 1.5, PointState.MEASURED, index, curve.style.marker))
        texts.append(Caption(x + key + 3, y, curve.label, Lettering.LABEL, size=SIZE, series=index))
        x += need + pad
    scale = Scale(0, 1, 1, 2)
    total = y + high / 2 + 3
    return Display(width, total, "", scale, scale, tuple(strokes), tuple(dots), tuple(texts)), total
