"""The figure of a choice: what each series costs beside the baseline, against what a query of it sees."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from attnprof.quantities import WALL
from attnprof.render.claims.choice import Candidate, Ranking
from attnprof.render.layout.axes import factor_scale, ticks_below, ticks_beside, value_scale
from attnprof.render.layout.display import Anchor, Box, Caption, Display, Dot, Lettering, Place, Role, Scale, Stroke
from attnprof.render.layout.labels import along, place
from attnprof.render.layout.lettering import text_width
from attnprof.render.palette import Style
from attnprof.units import format_length

LARGEST, SMALLEST = 20.0, 3.5
BAND = 30.0


class Sees(StrEnum):
    """What stands on the upward axis."""

    KEYS = "keys"
    LAYERS = "layers"


@dataclass(frozen=True, slots=True)
class Canvas:
    """The size of a figure and of its letters; one that is not `crowded` labels only those that must be."""

    width: float
    height: float
    size: float = 12.0
    largest: float = LARGEST
    crowded: bool = True


WIDE, NARROW = Canvas(830, 500), Canvas(358, 430, 11.0, 13.0, False)


@dataclass(frozen=True)
class _Spot:
    """A candidate that has a cost, with where it lies and how large it is drawn."""

    candidate: Candidate
    x: float
    y: float
    r: float
    ranked: bool


def scatter(
    at: Ranking, sees: Sees, styles: Mapping[str, Style], canvas: Canvas, first: Sequence[str] = ()
) -> Display | None:
    """The display list of one choice; None where nothing has a cost. `first` are labels that must find a place.

    Across: cost over the baseline's, or the cost itself where no baseline has one. Upwards: keys that a query reads at
    this n, or layers to full reach, one at the top. What has no such number lies in a band of its own: kernels and
    slots above, no reach or an unknown one below. The area of a dot is its memory.
    """
    shown = [c for c in at.everyone if c.cost.state.valued]
    if not shown:
        return None
    size = canvas.size
    left, right = 52.0, canvas.width - 14
    above, below = _bands(shown, sees)
    top = 26 + (BAND + size if above else 10)
    bottom = canvas.height - 44 - (BAND + 6 if below else 0)
    y = _sight_scale(shown, sees, bottom - 12, top + 12)
    x = _cost_scale(at, shown, left + 14, right - 14, size)
    bands, most = (26 + size + BAND / 2, bottom + BAND / 2 + 6), _most_memory(at)
    spots = [_spot(c, at, sees, x, y, bands, canvas, most) for c in shown]
    spots.sort(key=lambda s: (-s.r, s.candidate.series.label))
    grid, ticks = ticks_beside(y, left, right, size * 0.95)
    texts = [*ticks, *ticks_below(x, canvas.height - 44, size * 0.95)]
    texts += _titles(at, sees, canvas, left, right, above, below, bottom, spots)
    strokes = [*_shades(left, right, above, below, bottom, size), *grid]
    strokes.append(Stroke(((left, canvas.height - 44), (right, canvas.height - 44)), Role.AXIS))
    if at.baseline is not None:
        strokes.append(Stroke(((x.at(1), 26 + size), (x.at(1), canvas.height - 44)), Role.BASE))
    front = _front(spots)
    whiskers = _whiskers(at, spots, styles, x, (left, right))
    frame = (left, 26.0, right + 8, canvas.height - 44)
    labels, leaders, without = _labels(spots, styles, canvas, frame, texts, first, along(front))
    dots = [_dot(s, styles) for s in spots]
    strokes += [*([Stroke(tuple(front), Role.FRONT)] if len(front) > 1 else []), *whiskers, *leaders]
    return Display(
        canvas.width,
        canvas.height,
        _title(at, sees),
        x,
        y,
        tuple(strokes),
        tuple(dots),
        (*texts, *labels),
        tuple(without),
    )


def _title(at: Ranking, sees: Sees) -> str:
    seen = "keys a query reads" if sees is Sees.KEYS else "layers until all tokens are reached"
    return f"{at.metric.title} a layer at n = {format_length(at.n)} against {seen}"


def _bands(shown: Sequence[Candidate], sees: Sees) -> tuple[str, str]:
    """What the bands above and below say; empty where nothing lies in them."""
    if sees is Sees.KEYS:
        above = any(c.sight.through for c in shown)
        below = any(not c.sight.through and c.sight.keys is None for c in shown)
        return (
            "every key, through slots or a kernel: no count" if above else "",
            "keys not counted" if below else "",
        )
    lacking = {c.sight.reaching for c in shown if c.sight.layers is None}
    words = {"never": "some tokens at no depth", "unknown": "reach not known"}
    return "", ", or ".join(words[key] for key in ("never", "unknown") if key in lacking)


def _sight_scale(shown: Sequence[Candidate], sees: Sees, start: float, end: float) -> Scale:
    if sees is Sees.KEYS:
        keys = [c.sight.keys for c in shown if c.sight.keys and not c.sight.through] or [1.0, 16.0]
        found = value_scale(keys, "", start, end)
        first, last = math.ceil(math.log2(found.low)), math.floor(math.log2(found.high))
        step = max(1, math.ceil((last - first) / 6))
        ticks = [(2.0**k, format_length(2**k) if k >= 0 else f"{2.0**k:g}") for k in range(last, first - 1, -step)]
        return Scale(start, end, found.low, found.high, True, "", tuple(ticks))
    most = max([c.sight.layers for c in shown if c.sight.layers] or [2])
    low, high = 0.84, float(max(most, 2)) * 1.2
    ticks = [(float(2**k), str(2**k)) for k in range(12) if low <= 2**k <= high]
    return Scale(end, start, low, high, True, "", tuple(ticks))


def _cost_scale(at: Ranking, shown: Sequence[Candidate], start: float, end: float, size: float) -> Scale:
    base = at.baseline
    if base is None or not base.cost.value:
        values = [c.cost.value for c in shown if c.cost.value]
        found = value_scale(values, at.metric.unit, start, end, 5)
        return Scale(start, end, found.low, found.high, True, "", found.ticks)
    ratios = [c.cost.value / base.cost.value for c in shown if c.cost.value]
    return factor_scale(ratios, start, end, base.series.label, size * 0.95)


def _spot(
    c: Candidate,
    at: Ranking,
    sees: Sees,
    x: Scale,
    y: Scale,
    bands: tuple[float, float],
    canvas: Canvas,
    most: float,
) -> _Spot:
    value = c.cost.value or 1.0
    share = value if at.baseline is None or not at.baseline.cost.value else value / at.baseline.cost.value
    seen = c.sight.layers if sees is Sees.LAYERS else None if c.sight.through else c.sight.keys
    band = bands[0] if sees is Sees.KEYS and c.sight.through else bands[1]
    height = y.at(seen) if seen else band
    area = (c.memory_at.value or 0.0) / most if c.memory_at and most else 0.0
    r = max(canvas.largest * math.sqrt(area), SMALLEST)
    return _Spot(c, float(round(x.at(share))), float(round(height)), round(2 * r) / 2, bool(seen))


def _most_memory(at: Ranking) -> float:
    return max(((k.memory_at.value or 0.0) for k in at.everyone if k.memory_at), default=0.0)


def _front(spots: Sequence[_Spot]) -> list[Place]:
    """The steps along those that nothing both cheaper and farther-seeing beats; higher is more."""
    places: list[Place] = []
    best = math.inf
    for spot in sorted((s for s in spots if s.ranked), key=lambda s: (s.x, s.y)):
        if spot.y < best:
            if places:
                places.append((spot.x, best))
            places.append((spot.x, spot.y))
            best = spot.y
    return places


def _dot(spot: _Spot, styles: Mapping[str, Style]) -> Dot:
    c = spot.candidate
    return Dot(spot.x, spot.y, spot.r, c.cost.state, styles[c.series.label].index, "circle", c.cost.n)


def _whiskers(
    at: Ranking, spots: Sequence[_Spot], styles: Mapping[str, Style], x: Scale, within: tuple[float, float]
) -> list[Stroke]:
    found = []
    for spot in spots:
        against, cost = spot.candidate.against, spot.candidate.cost
        if against is not None and against.low is not None and against.high is not None:
            ends = [x.at(1 / against.high), x.at(1 / against.low)]
        elif at.baseline is None and cost.low and cost.high:
            ends = [x.at(cost.low), x.at(cost.high)]
        else:
            continue
        low, high = (float(round(min(max(e, within[0]), within[1]))) for e in ends)
        if high - low > 2 * spot.r + 1:
            index = styles[spot.candidate.series.label].index
            found.append(Stroke(((low, spot.y), (high, spot.y)), Role.WHISKER, index))
    return found


def _labels(
    spots: Sequence[_Spot],
    styles: Mapping[str, Style],
    canvas: Canvas,
    frame: Box,
    texts: Sequence[Caption],
    first: Sequence[str],
    thin: Sequence[Box],
) -> tuple[list[Caption], list[Stroke], list[int]]:
    """A label for each dot that finds room, a leader where it stands apart; and the series that found none."""
    wanted = {label: k for k, label in enumerate(first)}
    shown = spots if canvas.crowded else [s for s in spots if s.candidate.series.label in wanted]
    order = sorted(shown, key=lambda s: (wanted.get(s.candidate.series.label, 99), not s.ranked, -s.r, s.x))
    names = [s.candidate.series.label for s in order]
    sizes = [(text_width(name, canvas.size), canvas.size * 1.1) for name in names]
    solid = [(s.x - s.r - 1, s.y - s.r - 1, s.x + s.r + 1, s.y + s.r + 1) for s in spots]
    solid += [t.box for t in texts]
    found = place([(s.x, s.y, s.r) for s in order], sizes, frame, solid, thin)
    labels, leaders, without = [], [], []
    for spot, name, (width, height), centre in zip(order, names, sizes, found, strict=True):
        index = styles[name].index
        if centre is None:
            without.append(index)
            continue
        x, y = float(round(centre[0] - width / 2)), float(round(centre[1]))
        labels.append(Caption(x, y, name, Lettering.LABEL, size=canvas.size, series=index))
        if leader := _leader(spot, centre, width, height):
            leaders.append(Stroke(leader, Role.LEADER, index))
    return labels, leaders, without


def _leader(spot: _Spot, centre: Place, width: float, height: float) -> tuple[Place, Place] | None:
    """From the rim of the dot to the nearest edge of the label, where those are apart."""
    edge = (
        min(max(spot.x, centre[0] - width / 2), centre[0] + width / 2),
        min(max(spot.y, centre[1] - height / 2), centre[1] + height / 2),
    )
    away = math.hypot(edge[0] - spot.x, edge[1] - spot.y)
    if away - spot.r < 9:
        return None
    share = spot.r / away
    rim = (spot.x + (edge[0] - spot.x) * share, spot.y + (edge[1] - spot.y) * share)
    return (float(round(rim[0])), float(round(rim[1]))), (float(round(edge[0])), float(round(edge[1])))


def _shades(left: float, right: float, above: str, below: str, bottom: float, size: float) -> list[Stroke]:
    found = []
    for there, top in ((above, 26 + size), (below, bottom + 6)):
        if there:
            corners = ((left, top), (right, top), (right, top + BAND), (left, top + BAND))
            found.append(Stroke(corners, Role.SHADE))
    return found


def _titles(
    at: Ranking,
    sees: Sees,
    canvas: Canvas,
    left: float,
    right: float,
    above: str,
    below: str,
    bottom: float,
    spots: Sequence[_Spot],
) -> list[Caption]:
    size = canvas.size
    upward = "keys a query reads" if sees is Sees.KEYS else "layers until all are reached (fewer is higher)"
    cost = "time" if at.metric.key == WALL.key else at.metric.phrase
    wide = canvas.width > 500
    across = f"{cost} a layer at n = {format_length(at.n)}" + (" (log)" if wide else "")
    found = [Caption(4, size * 0.6, upward, Lettering.TITLE, size=size)]
    end = canvas.height - size * 0.7
    found.append(Caption(right, end, across, Lettering.TITLE, Anchor.END, size))
    for text, y in ((above, 26 - 1), (below, bottom + BAND / 2 + 6)):
        if text:
            small = size * 0.92 if wide else size * 0.85
            height = y + (size * 0.3 if text == above else 0)
            found.append(_note(text, height, small, left + 4, right - 4, spots))
    return found


def _note(text: str, y: float, size: float, left: float, right: float, spots: Sequence[_Spot]) -> Caption:
    """What a band says, at the end of it that has no dot."""
    end = left + text_width(text, size)
    taken = any(abs(s.y - y) < s.r + size and s.x - s.r < end for s in spots)
    if taken:
        return Caption(right, y, text, Lettering.NOTE, Anchor.END, size)
    return Caption(left, y, text, Lettering.NOTE, size=size)
