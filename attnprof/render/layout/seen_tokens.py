"""How far back a token sees after each layer, of several models in one frame."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from attnprof.render.claims.evidence import PointState
from attnprof.render.layout.axes import ticks_below, ticks_beside
from attnprof.render.layout.display import Anchor, Caption, Display, Dot, Lettering, Role, Scale, Stroke
from attnprof.render.layout.labels import spread
from attnprof.render.layout.lettering import text_width
from attnprof.render.palette import Style
from attnprof.units import format_length

LEFT, HEAD, FOOT = 54.0, 26.0, 22.0


@dataclass(frozen=True)
class SeenCurve:
    """One model: after each layer the tokens that a late one sees at most, None for all of them.

    `whole` is the first layer after which it sees all, `direct` the first at which no state of a fixed size stands
    between; the line is dashed from one to the other.
    """

    label: str
    style: Style
    tokens: Sequence[int | None]
    whole: int | None = None
    direct: int | None = None


def seen_frame(curves: Sequence[SeenCurve], most: int, width: float, height: float, size: float = 11.5) -> Display:
    """The curves from the token itself on, layers on a scale of log2(1 + k); "all" lies above `most`, the longest n."""
    deepest = max((len(c.tokens) for c in curves), default=1)
    finite = max((t for c in curves for t in c.tokens if t is not None), default=1)
    room = max((text_width(c.label, size) for c in curves), default=0.0) + 10
    right = width - 10 - room
    depths = [(math.log2(1 + k), str(k)) for k in (0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512) if k <= deepest]
    x = Scale(LEFT + 6, right, 0.0, math.log2(1 + deepest), False, "layers", tuple(depths))
    high = max(most, finite) * 4.0
    powers = [2**k for k in range(0, int(math.log2(high)), max(2, math.ceil(math.log2(high) / 8)))]
    ticks_up = [(float(v), format_length(v)) for v in powers if v <= max(most, finite)]
    y = Scale(height - FOOT, HEAD, 1.0, high, True, "", (*ticks_up, (high, "all")))
    grid, ticks = ticks_beside(y, LEFT, right, size)
    strokes, dots = [*grid], []
    for curve in curves:
        seen = [1, *curve.tokens]
        places = [
            (round(x.at(math.log2(1 + k)), 1), round(y.at(high if t is None else t), 1)) for k, t in enumerate(seen)
        ]
        solid = len(places) if curve.whole is None or curve.direct == curve.whole else curve.whole + 1
        strokes.append(Stroke(tuple(_steps(places[:solid])), Role.LINE, curve.style.index))
        until = curve.direct or len(places) - 1
        if solid < len(places):
            strokes.append(Stroke((places[solid - 1], places[until]), Role.DASHED, curve.style.index))
            strokes.append(Stroke(tuple(places[until:]), Role.LINE, curve.style.index))
        last = places[curve.whole or len(seen) - 1]
        dots.append(Dot(*last, 3.2, PointState.COUNTED, curve.style.index, curve.style.marker))
    texts: list[Caption] = [*ticks, *ticks_below(x, height - FOOT, size)]
    texts.append(Caption(4, size * 0.6, "tokens that a late one sees, after k layers", Lettering.TITLE, size=size))
    ends = [y.at(high if c.tokens and c.tokens[-1] is None else (c.tokens or [1])[-1] or 1) for c in curves]
    for curve, at, end in zip(curves, spread(ends, size * 1.2, HEAD - 4, height - FOOT), ends, strict=True):
        index = curve.style.index
        texts.append(Caption(right + 10, at, curve.label, Lettering.LABEL, Anchor.START, size, index))
        if abs(at - end) > 3:
            strokes.append(Stroke(((right + 1, round(end, 1)), (right + 8, at)), Role.LEADER, index))
    title = "tokens seen after k layers"
    return Display(width, height, title, x, y, tuple(strokes), tuple(dots), tuple(texts))


def _steps(places: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """A line that rises at its layers."""
    found = [places[0]]
    for before, after in pairwise(places):
        found += [(after[0], before[1]), after]
    return found
