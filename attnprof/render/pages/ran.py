"""What was run: a mark for each point, a row a target, in a strip that reads as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from attnprof.quantities import WALL
from attnprof.render.claims.evidence import PointState
from attnprof.render.pages.view import PageView
from attnprof.render.palette import Style
from attnprof.render.wording import state_glyph


@dataclass(frozen=True, slots=True)
class StripRow:
    """A series, and its marks in each view, one character a length of the view."""

    label: str
    style: Style
    marks: tuple[str, ...]


def strip(views: Sequence[PageView], styles: Mapping[str, Style]) -> list[StripRow]:
    """The rows of the strip, in the order of the report's series."""
    ordered = sorted(styles, key=lambda label: styles[label].index)
    return [StripRow(label, styles[label], tuple(_marks(v, label) for v in views)) for label in ordered]


def _marks(view: PageView, label: str) -> str:
    series = next((s for s in view.group.series if s.label == label), None)
    if series is None:
        return ""
    points = view.points(series, WALL)
    return "".join(state_glyph(points[n].state.value) if n in points else " " for n in view.lengths)


def states(views: Sequence[PageView]) -> list[PointState]:
    """The states that occur, for a key."""
    there = {p.state for v in views for s in v.group.series for p in v.points(s, WALL).values()}
    return [state for state in PointState if state in there]
