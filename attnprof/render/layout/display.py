"""A figure as a display list: strokes, dots and texts at places. Every back end draws the same list.

Lengths are in the unit of the list (pixels of a page, points of a paper), from the upper left corner downwards.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from attnprof.render.claims.evidence import PointState
from attnprof.render.layout.lettering import text_width

Box = tuple[float, float, float, float]  # left, top, right, bottom
Place = tuple[float, float]


class Role(StrEnum):
    """What a stroke is for, and so how it looks."""

    GRID = "grid"
    AXIS = "axis"
    BASE = "base"
    RULE = "rule"
    FRONT = "front"
    LEADER = "leader"
    WHISKER = "whisker"
    LINE = "line"
    DASHED = "dashed"
    BAND = "band"
    SHADE = "shade"
    AREA = "area"


class Lettering(StrEnum):
    """What a text is for."""

    TICK = "tick"
    TITLE = "title"
    NOTE = "note"
    LABEL = "label"
    HEAD = "head"


class Anchor(StrEnum):
    """Which end of a text its place is."""

    START = "start"
    MIDDLE = "middle"
    END = "end"


@dataclass(frozen=True, slots=True)
class Stroke:
    """A line through places, or the area within them (tinted, or full); `series` is the number that it belongs to."""

    places: tuple[Place, ...]
    role: Role
    series: int | None = None


@dataclass(frozen=True, slots=True)
class Dot:
    """A point of a series: its state says how it is filled, its marker which shape it has."""

    x: float
    y: float
    r: float
    state: PointState
    series: int
    marker: str = "circle"
    n: int | None = None

    @property
    def box(self) -> Box:
        """The square around it."""
        return self.x - self.r, self.y - self.r, self.x + self.r, self.y + self.r


@dataclass(frozen=True, slots=True)
class Caption:
    """A text; `y` is its middle, `size` the height of its letters."""

    x: float
    y: float
    text: str
    role: Lettering
    anchor: Anchor = Anchor.START
    size: float = 12.0
    series: int | None = None

    @property
    def box(self) -> Box:
        """The box that its letters need, generously."""
        width = text_width(self.text, self.size)
        left = self.x - {Anchor.START: 0.0, Anchor.MIDDLE: width / 2, Anchor.END: width}[self.anchor]
        return left, self.y - self.size * 0.55, left + width, self.y + self.size * 0.55


@dataclass(frozen=True, slots=True)
class Scale:
    """An axis of a figure: the places of its ends and the values there; logarithmic unless it says otherwise."""

    start: float
    end: float
    low: float
    high: float
    log: bool = True
    title: str = ""
    ticks: tuple[tuple[float, str], ...] = ()

    def at(self, value: float) -> float:
        """The place of a value."""
        if self.log:
            share = (math.log(value) - math.log(self.low)) / (math.log(self.high) - math.log(self.low))
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.start + (self.end - self.start) * share


@dataclass(frozen=True)
class Display:
    """A drawn figure. `x` and `y` are its scales, by which a back end can give places their values back."""

    width: float
    height: float
    title: str
    x: Scale
    y: Scale
    strokes: tuple[Stroke, ...] = ()
    dots: tuple[Dot, ...] = ()
    texts: tuple[Caption, ...] = ()
    unlabelled: tuple[int, ...] = field(default=())

    @property
    def plot(self) -> Box:
        """The frame in which data lie."""
        left, right = sorted((self.x.start, self.x.end))
        top, bottom = sorted((self.y.start, self.y.end))
        return left, top, right, bottom


def of_series(display: Display, kept: Iterable[int]) -> Display:
    """The figure with these series alone."""
    wanted = {None, *kept}
    return dataclasses.replace(
        display,
        strokes=tuple(s for s in display.strokes if s.series in wanted),
        dots=tuple(d for d in display.dots if d.series in wanted),
        texts=tuple(t for t in display.texts if t.series in wanted),
    )
