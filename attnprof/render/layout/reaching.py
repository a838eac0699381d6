"""The frame of reach: the share of allowed pairs within reach, layer by layer, of several targets at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from attnprof.render.claims.evidence import PointState
from attnprof.render.layout.axes import ticks_below, ticks_beside
from attnprof.render.layout.display import Caption, Display, Dot, Lettering, Role, Scale, Stroke
from attnprof.render.layout.labels import spread
from attnprof.render.layout.lettering import text_width
from attnprof.render.palette import Style

DEEPEST = 64
SHALLOWEST = 4
LEFT, HEAD, FOOT = 54.0, 12.0, 22.0


@dataclass(frozen=True)
class Reaching:
    """One target: its shares by layer, and the bounds of each share where they are known to be less than exact."""

    label: str
    style: Style
    shares: Sequence[tuple[int, float]]
    bounds: Sequence[tuple[int, float, float]] = ()


def reach_frame(
    curves: Sequence[Reaching], width: float, height: float, size: float = 11.5, *, labels: bool = False
) -> Display:
    """The curves from layer 0 on, layers on a scale of log2(1 + k) up to 64; the last share goes on to the edge."""
    most = max((max(k for k, _ in c.shares) for c in curves), default=1)
    last = min(max(most, SHALLOWEST), DEEPEST)
    room = max((text_width(c.label, size) for c in curves), default=0.0) + 10 if labels else 6.0
    right = width - 10 - room
    ticks_at = [(math.log2(1 + k), str(k)) for k in (0, 1, 2, 4, 8, 16, 32, 64) if k <= last]
    x = Scale(LEFT + 6, right, 0.0, math.log2(1 + last), False, "layers", tuple(ticks_at))
    y = Scale(height - FOOT, HEAD, 0.0, 1.0, False, "", ((0, "0%"), (0.5, "50%"), (1, "100%")))
    grid, ticks = ticks_beside(y, LEFT, right, size)
    strokes: list[Stroke] = [*grid]
    dots: list[Dot] = []
    for curve in curves:
        places = _places(curve.shares, last, x, y)
        strokes += _band(curve, last, x, y)
        strokes.append(Stroke(tuple(places), Role.LINE, curve.style.index))
        dots += [Dot(*at, 2.6, PointState.COUNTED, curve.style.index, curve.style.marker) for at in places[1:]]
    texts: list[Caption] = [*ticks, *ticks_below(x, height - FOOT, size)]
    if labels:
        ends = [_places(c.shares, last, x, y)[-1] for c in curves]
        heights = spread([at[1] for at in ends], size * 1.2, HEAD - 4, height - FOOT)
        for curve, at, end in zip(curves, heights, ends, strict=True):
            index = curve.style.index
            texts.append(Caption(right + 10, at, curve.label, Lettering.LABEL, size=size, series=index))
            if abs(at - end[1]) > 3:
                strokes.append(Stroke(((end[0] + 4, end[1]), (right + 8, at)), Role.LEADER, index))
    title = "pairs within reach after k layers"
    return Display(width, height, title, x, y, tuple(strokes), tuple(dots), tuple(texts))


def _places(shares: Sequence[tuple[int, float]], last: int, x: Scale, y: Scale) -> list[tuple[float, float]]:
    """From nothing at layer 0 on; nothing is lost with more layers, so the last share holds to the edge."""
    shown = [(0, 0.0), *((k, share) for k, share in shares if k <= last)]
    if shown[-1][0] < last and len(shown) > 1:
        shown.append((last, shown[-1][1]))
    return [(round(x.at(math.log2(1 + k)), 1), round(y.at(share), 1)) for k, share in shown]


def _band(curve: Reaching, last: int, x: Scale, y: Scale) -> list[Stroke]:
    known = [(k, low, high) for k, low, high in curve.bounds if k <= last]
    if len(known) < 2:
        return []
    low = [(x.at(math.log2(1 + k)), y.at(v)) for k, v, _ in known]
    high = [(x.at(math.log2(1 + k)), y.at(v)) for k, _, v in reversed(known)]
    return [Stroke(tuple((round(a, 1), round(b, 1)) for a, b in (*low, *high)), Role.BAND, curve.style.index)]
