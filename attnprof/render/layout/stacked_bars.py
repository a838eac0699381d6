"""What a total is made of, length by length: bars of stacked parts, the total written above each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from attnprof.render.layout.axes import length_scale, linear_scale, thinned, ticks_below, ticks_beside
from attnprof.render.layout.curves import PanelBox, margin
from attnprof.render.layout.display import Anchor, Caption, Display, Lettering, Role, Scale, Stroke
from attnprof.render.layout.labels import spread
from attnprof.render.layout.lettering import text_width
from attnprof.render.palette import Style

FULL = 0.78  # how much of a step a bar takes


@dataclass(frozen=True)
class StackedPart:
    """One part of the totals: its name, its hue, and its value at each length."""

    label: str
    style: Style
    values: Sequence[float]


def stacked(
    title: str, parts: Sequence[StackedPart], lengths: Sequence[int], totals: Sequence[str], unit: str, box: PanelBox
) -> Display:
    """The bars, the first part lowest; `totals` are the words above them. As shares of each total without a `unit`.

    Parts that are nothing at every length are left out. The label of each stands beside the last bar.
    """
    shown = [p for p in parts if any(p.values)]
    sums = [sum(p.values[k] for p in shown) for k in range(len(lengths))]
    bottom, top = box.height - box.foot, box.head + box.size * 1.3
    if unit:
        y = linear_scale(sums, unit, bottom, top)
    else:
        y = Scale(bottom, top, 0.0, 1.0, False, "", ((0, "0%"), (0.5, "50%"), (1, "100%")))
    left, right = margin(y, box), box.width - box.room - 14
    step = (right - left) / len(lengths)
    x = (
        length_scale(lengths, left + step / 2, right - step / 2, box.size)
        if len(lengths) > 1
        else _lone(lengths, left, right)
    )
    grid, ticks = ticks_beside(y, left, right, box.size)
    strokes, texts = [*grid], [*ticks, *ticks_below(x, bottom, box.size)]
    if title:
        texts.append(Caption(2, box.size * 0.65, title, Lettering.HEAD, size=box.size * 1.1))
    ends: list[tuple[StackedPart, float]] = []
    for k, n in enumerate(lengths):
        below = 0.0
        for part in shown:
            share = part.values[k] if unit else part.values[k] / sums[k] if sums[k] else 0.0
            low, high = y.at(below), y.at(below + share)
            if share:
                strokes.append(_bar(x.at(n), step * FULL, low, high, part.style.index))
            if k == len(lengths) - 1:
                ends.append((part, (low + high) / 2))
            below += share
    above = thinned([(float(n), word) for n, word in zip(lengths, totals, strict=True)], x, box.size * 0.9)
    heights = {float(n): y.at(s if unit else 1.0) for n, s in zip(lengths, sums, strict=True)}
    texts += [
        Caption(round(x.at(n), 1), heights[n] - box.size * 0.75, word, Lettering.NOTE, Anchor.MIDDLE, box.size * 0.9)
        for n, word in above
    ]
    labels, leaders = _named(ends, right, (top - box.size, bottom), box.size)
    return Display(box.width, box.height, title, x, y, (*strokes, *leaders), (), (*texts, *labels))


def _lone(lengths: Sequence[int], left: float, right: float) -> Scale:
    return length_scale(lengths, left, right)


def _bar(middle: float, width: float, low: float, high: float, series: int) -> Stroke:
    a, b = round(middle - width / 2, 1), round(middle + width / 2, 1)
    c, d = round(low, 1), round(high, 1)
    return Stroke(((a, c), (b, c), (b, d), (a, d)), Role.AREA, series)


def _named(
    ends: Sequence[tuple[StackedPart, float]], right: float, within: tuple[float, float], size: float
) -> tuple[list[Caption], list[Stroke]]:
    """The names in a column at the right, each at the height of its part in the last bar, or as near as may be."""
    heights = spread([y for _, y in ends], size * 1.18, *within)
    texts, leaders = [], []
    for (part, y), at in zip(ends, heights, strict=True):
        texts.append(Caption(right + 12, at, part.label, Lettering.LABEL, size=size, series=part.style.index))
        if abs(at - y) > 3:
            leaders.append(Stroke(((right + 1, round(y, 1)), (right + 10, at)), Role.LEADER, part.style.index))
    return texts, leaders


def room_of(parts: Sequence[StackedPart], size: float) -> float:
    """The room that the names of these parts need beside the bars."""
    return max((text_width(p.label, size) for p in parts if any(p.values)), default=0.0)
