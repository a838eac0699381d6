"""A panel in the coordinates of its drawing: paths, markers, ticks and labels that do not overlap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from attnprof.render.figures import Panel, SeriesLine
from attnprof.render.numbers import power
from attnprof.render.wording import status_short


@dataclass(frozen=True, slots=True)
class Box:
    """The sizes of a drawing, in its own unit: pixels of the page, points of a paper.

    `row` is the height of one row of marks, `label` the distance of two labels, `character` the width of a letter.
    """

    width: float = 430
    height: float = 300
    left: float = 66
    bottom: float = 34
    top: float = 10
    row: float = 15
    label: float = 12.5
    character: float = 6.7
    room: tuple[float, float] = (70, 188)


PAGE = Box()


@dataclass(frozen=True, slots=True)
class Dot:
    """One marker, with its error bar where the reading has an interval."""

    x: float
    y: float
    hollow: bool
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Label:
    """Where the name of a line is written; `leader`: so far from its line's end that a thin line must join them."""

    x: float
    y: float
    leader: bool = False


@dataclass(frozen=True, slots=True)
class Curve:
    """One line: the path, its markers, its last point, and its label (None for a line in the background)."""

    line: SeriesLine
    path: str
    dots: tuple[Dot, ...]
    end: tuple[float, float]
    label: Label | None = None


@dataclass(frozen=True, slots=True)
class Drawing:
    """A panel laid out in a box: the frame of the plot, the curves in it, the strip of marks above it."""

    panel: Panel
    left: float
    right: float
    top: float
    bottom: float
    curves: tuple[Curve, ...]
    rows: tuple[tuple[str, float], ...]
    marks: tuple[tuple[float, float, int], ...]
    box: Box = PAGE

    def x(self, at: float) -> float:
        """The horizontal place of a fraction of the axis."""
        return round(self.left + at * (self.right - self.left), 2)

    def y(self, at: float) -> float:
        """The vertical place of a fraction of the axis."""
        return round(self.bottom - at * (self.bottom - self.top), 2)


def draw(panel: Panel, box: Box = PAGE) -> Drawing:
    """The layout of a panel: the plot, the strip of marks above it, labels to its right."""
    statuses = panel.statuses
    top = box.top + box.row * len(statuses) + (box.row * 0.4 if statuses else 0)
    right = box.width - _label_room(panel, box)
    bare = Drawing(panel, box.left, right, top, box.height - box.bottom, (), (), (), box)
    rows = tuple((status, box.top + box.row * (k + 0.5)) for k, status in enumerate(statuses))
    height = dict(rows)
    marks = tuple((bare.x(panel.x.at(m.n)), height[m.status], k) for k, m in enumerate(panel.marks))
    return replace(bare, curves=_curves(bare), rows=rows, marks=marks)


def label_text(line: SeriesLine) -> tuple[str, str]:
    """The direct label of a line: its name, and the exponent where there is one."""
    return line.label, "" if line.exponent is None else power(line.exponent)


def _label_room(panel: Panel, box: Box) -> float:
    texts = [label_text(line) for line in panel.lines if line.highlighted]
    texts += [(status_short(status), "") for status in panel.statuses]
    longest = max((len(name) + (0.8 * len(exponent) + 1.5 if exponent else 0) for name, exponent in texts), default=8)
    low, high = box.room
    return min(max(longest * box.character + 1.3 * box.label, low), high)


def _curves(frame: Drawing) -> tuple[Curve, ...]:
    bare = [_curve(frame, line) for line in frame.panel.lines]
    named = [c for c in bare if c.line.highlighted]
    gap = frame.box.label
    heights = spread([_heading(c, frame.right) for c in named], gap, frame.top + gap / 3, frame.bottom - gap / 6)
    labels = {c.line.label: _label(frame, c, y) for c, y in zip(named, heights, strict=True)}
    curves = [replace(c, label=labels.get(c.line.label)) for c in bare]
    return tuple(sorted(curves, key=lambda c: (c.line.highlighted, c.line.style.ink)))


def _heading(curve: Curve, right: float) -> float:
    """The height at which a line would reach the right edge: the order of labels in which no leaders cross."""
    last = curve.dots[-1]
    if len(curve.dots) < 2 or last.x >= right:
        return last.y
    before = curve.dots[-2]
    return last.y + (last.y - before.y) / (last.x - before.x) * (right - last.x)


def _label(frame: Drawing, curve: Curve, y: float) -> Label:
    gap = frame.box.label
    leader = abs(y - curve.end[1]) > gap / 3 or frame.right - curve.end[0] > 2 * gap
    return Label(round(frame.right + 0.64 * gap, 2), y, leader)


def _curve(frame: Drawing, line: SeriesLine) -> Curve:
    panel = frame.panel
    places = {n: (frame.x(panel.x.at(n)), frame.y(panel.y.at(r.value))) for n, r in line.readings.items()}
    path = "".join(_path([places[n] for n in piece]) for piece in line.pieces(panel.lengths))
    dots = []
    for n, reading in sorted(line.readings.items()):
        ends = (reading.low, reading.high)
        low, high = (frame.y(panel.y.at(v)) if v else None for v in ends)
        dots.append(Dot(*places[n], reading.predicted, low, high))
    return Curve(line, path, tuple(dots), places[max(places)])


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:g},{y:g}" for x, y in points)


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places `gap` apart within [low, high], in the order of the wishes and as near to them as that allows."""
    clusters: list[tuple[float, list[int]]] = []
    for k in sorted(range(len(wanted)), key=lambda k: wanted[k]):
        members = [k]
        while clusters and clusters[-1][0] + gap * len(clusters[-1][1]) > _first(members, wanted, gap, low, high):
            members = clusters.pop()[1] + members
        clusters.append((_first(members, wanted, gap, low, high), members))
    found = [0.0] * len(wanted)
    for first, members in clusters:
        for rank, k in enumerate(members):
            found[k] = round(first + gap * rank, 2)
    return found


def _first(members: Sequence[int], wanted: Sequence[float], gap: float, low: float, high: float) -> float:
    """Where the first of a run of touching labels lies, so that the run is centred on what its members want."""
    size = gap * (len(members) - 1)
    middle = sum(wanted[k] for k in members) / len(members)
    return max(low, min(middle - size / 2, high - size))
