"""The family of a series, from which its hue follows, and its marker: the same in every figure of a report."""

from __future__ import annotations

import tomllib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

from attnprof.locate import shipped
from attnprof.records import JsonDict, JsonObject
from attnprof.render.series import Series, series_order

EXACT, OTHER = "exact", "other"


@dataclass(frozen=True, slots=True)
class Style:
    """How one series is drawn: its number in the report, family, marker, and the hue of light and dark pages."""

    index: int
    family: str
    marker: str
    light: str
    dark: str


@cache
def palette() -> JsonDict:
    """The palette as `reports/style/palette.toml` states it."""
    return tomllib.loads((shipped("reports") / "style" / "palette.toml").read_text(encoding="utf-8"))


def families() -> Mapping[str, JsonObject]:
    """Every family by key, in the order in which a report shows them."""
    found: Mapping[str, JsonObject] = palette()["family"]
    return found


def distinct(count: int, first: int = 0) -> list[Style]:
    """A hue and a marker each for `count` things whose hue says no family; their numbers from `first` on."""
    hues = [family for key, family in families().items() if key != OTHER]
    markers = palette()["markers"]
    return [
        Style(first + k, OTHER, markers[k % len(markers)], hue["light"], hue["dark"])
        for k, hue in ((k, hues[k % len(hues)]) for k in range(count))
    ]


def hues(first: int) -> dict[str, Style]:
    """A style for each family itself, where a part of something is drawn in its hue; numbers from `first`."""
    return {
        key: Style(first + k, key, palette()["markers"][0], family["light"], family["dark"])
        for k, (key, family) in enumerate(families().items())
    }


def family_of(target: str, card: JsonObject | None) -> str:
    """The family of a target: by its name, else by the class of its card; `other` where it has none."""
    for key, family in families().items():
        if target in family["schemes"]:
            return key
    if card is None:
        return OTHER
    kind = str(card.get("survey_class") or "")
    for key, family in families().items():
        if kind in family["classes"]:
            return key
    # A class that no family names: by the family whose class it contains, the longest first.
    parts = [(name, key) for key, family in families().items() for name in family["classes"]]
    return next((key for name, key in sorted(parts, key=lambda p: -len(p[0])) if name in kind), OTHER)


def family_of_scheme(name: str) -> str:
    """The family of a scheme of the catalogue; `other` of any other name."""
    from attnprof.targets import catalog

    known = name in catalog.names()
    return family_of(name, {"survey_class": catalog.entry(name).card.survey_class}) if known else OTHER


def styles(series: Iterable[Series], cards: Mapping[str, JsonObject]) -> dict[str, Style]:
    """A style for each label: the family's hue, and a marker by place among the family's labels."""
    by_label = {s.label: s for s in series}
    ordered = sorted(by_label.values(), key=series_order)
    places: dict[str, int] = defaultdict(int)
    found: dict[str, Style] = {}
    for index, one in enumerate(ordered):
        key = EXACT if one.baseline else family_of(one.target, cards.get(one.target))
        markers, family = palette()["markers"], families()[key]
        found[one.label] = Style(index, key, markers[places[key] % len(markers)], family["light"], family["dark"])
        places[key] += 1
    return found
