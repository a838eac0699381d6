"""Which hue, dash and marker a series has: the same in every figure of a report."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from attnprof.locate import shipped
from attnprof.records import BASELINES
from attnprof.render.series import Series, series_order

INK = "ink"


@dataclass(frozen=True, slots=True)
class Style:
    """How one series is drawn: its number in the report, the colour of light and dark pages, dash and marker."""

    index: int
    hue: str
    light: str
    dark: str
    dash: str
    marker: str

    @property
    def ink(self) -> bool:
        """Whether this is a baseline, drawn in the colour of the text."""
        return self.hue == INK


@cache
def palette() -> dict[str, Any]:
    """The palette as `reports/style/palette.toml` states it."""
    return tomllib.loads((shipped("reports") / "style" / "palette.toml").read_text(encoding="utf-8"))


def styles(series: Iterable[Series]) -> dict[str, Style]:
    """A style for each label, baselines in ink and the others by their place in the fixed order of series."""
    by_label = {s.label: s for s in series}
    ordered = sorted(by_label.values(), key=series_order)
    others = [s.label for s in ordered if not s.baseline]
    return {
        s.label: _ink(at, s) if s.baseline else _coloured(at, others.index(s.label)) for at, s in enumerate(ordered)
    }


def _ink(index: int, series: Series) -> Style:
    chosen = palette()["baseline"]
    rank = BASELINES.index(series.target) % len(chosen["dashes"])
    marker = palette()["markers"][rank]
    return Style(index, INK, chosen["light"], chosen["dark"], chosen["dashes"][rank], marker)


def _coloured(index: int, place: int) -> Style:
    hues, markers, dashes = palette()["hue"], palette()["markers"], palette()["dashes"]
    hue = hues[place % len(hues)]
    dash = dashes[place // len(hues) % len(dashes)]
    return Style(index, hue["name"], hue["light"], hue["dark"], dash, markers[place % len(markers)])
