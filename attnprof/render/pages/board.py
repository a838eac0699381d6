"""The leaderboard of a view: a row a series for every n and quantity, ready to be shown or packed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from attnprof.quantities import PEAK, STATE, Quantity
from attnprof.render.claims.choice import Candidate
from attnprof.render.claims.crossings import CrossingClaim, crossing
from attnprof.render.claims.evidence import PointState
from attnprof.render.layout.axes import length_scale, value_scale
from attnprof.render.layout.display import Scale
from attnprof.render.pages import cells
from attnprof.render.pages.cells import SPARK, BoardCell
from attnprof.render.pages.view import PageView
from attnprof.render.palette import Style
from attnprof.render.series import Series
from attnprof.words import Pass


@dataclass(frozen=True)
class BoardRow:
    """A series at one n in one quantity."""

    candidate: Candidate
    style: Style
    spark: str
    cost: BoardCell
    against: BoardCell
    params: BoardCell
    memory: tuple[BoardCell, BoardCell]
    keys: BoardCell
    layers: BoardCell
    cheaper: BoardCell
    tip: str
    rest: str

    @property
    def whole_tip(self) -> str:
        """All that a dot says."""
        return f"{self.tip}\n{self.rest}"


@dataclass(frozen=True, eq=False)
class Board:
    """The rows of one view in one quantity."""

    view: PageView
    metric: Quantity
    styles: Mapping[str, Style]

    @cached_property
    def base(self) -> Series | None:
        """The baseline of the sparklines and of the crossings: the fused one where both have values."""
        usable = [s for s in self.view.group.baselines if any(p.state.valued for p in self._points(s).values())]
        return usable[-1] if usable else None

    def _points(self, series: Series) -> Any:
        return self.view.points(series, self.metric)

    @cached_property
    def _scales(self) -> tuple[Scale, Scale] | None:
        values = [p.value for s in self.view.group.series for p in self._points(s).values() if p.value]
        if not values:
            return None
        width, height = SPARK
        return (
            value_scale(values, self.metric.unit, height - 6, 6),
            length_scale(self.view.lengths, 6, width - 18),
        )

    @cached_property
    def sparks(self) -> dict[str, str]:
        """The sparkline of each series, all on one scale."""
        if self._scales is None:
            return {}
        y, x = self._scales
        base = None if self.base is None else self._points(self.base)
        return {
            s.label: cells.spark(self._points(s), None if s is self.base else base, y, x)
            for s in self.view.group.series
        }

    @cached_property
    def crossings(self) -> dict[str, CrossingClaim]:
        """Where each series falls below the baseline."""
        if self.base is None:
            return {}
        base = self._points(self.base)
        return {s.label: crossing(self._points(s), base) for s in self.view.group.series if s is not self.base}

    @cached_property
    def _cheaper(self) -> dict[str, BoardCell]:
        """The cell of each crossing, which is the same at every n."""
        return {s.label: cells.cheaper(self.crossings.get(s.label)) for s in self.view.group.series}

    @cached_property
    def _made(self) -> dict[int, list[BoardRow]]:
        return {}

    def rows(self, n: int) -> list[BoardRow]:
        """The rows at n, the baseline first, then by rising cost."""
        if n not in self._made:
            self._made[n] = self._rows(n)
        return self._made[n]

    def _rows(self, n: int) -> list[BoardRow]:
        at = self.view.standing(self.metric, n)
        return [
            BoardRow(
                c,
                self.styles[c.series.label],
                self.sparks.get(c.series.label, ""),
                cells.cost(c.cost),
                cells.against(c, c is at.baseline),
                cells.parameters(at, c),
                (self._memory(c, n, PEAK), self._memory(c, n, STATE)),
                cells.keys(c.sight),
                cells.layers(c.sight),
                self._cheaper[c.series.label],
                cells.tip(c),
                self._rest(c, n),
            )
            for c in at.everyone
        ]

    def _rest(self, c: Candidate, n: int) -> str:
        """The part of a tip that no quantity changes, worded once for all boards of the view."""
        key = (c.series.label, n)
        if key not in self.view.tips:
            self.view.tips[key] = cells.tip_rest(c)
        return self.view.tips[key]

    def _memory(self, c: Candidate, n: int, metric: Quantity) -> BoardCell:
        found = self.view.points(c.series, metric).get(n)
        cell = cells.memory(found)
        first = self.view.points(c.series, self.metric).get(n)
        if metric is PEAK and first is not None and first.state is PointState.MEMORY:
            return BoardCell(f"{cell.html}<small>does not fit</small>", cell.value)
        return cell


def memory_heads(view: PageView) -> tuple[str, str]:
    """What the two columns of memory hold: decoding has no peak worth ranking, it is scratch."""
    return ("" if view.conditions.pass_ is Pass.DECODE else "Peak", "State")
