import itertools
import re
from collections.abc import Sequence

import pytest

from attnprof.locate import shipped
from attnprof.render.palette import families, family_of, styles
from attnprof.render.series import groups
from attnprof.targets import catalog
from tests.fakes.records import many

# Simulation of colour vision deficiency at full severity, on linear RGB: Machado, Oliveira and Fernandes 2009, table 1.
SIGHT = {
    "normal": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protan": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deutan": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
}


def linear(colour: str) -> list[float]:
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    return [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]


def contrast(a: str, b: str) -> float:
    high, low = sorted(sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear(c), strict=True)) for c in (a, b))[
        ::-1
    ]
    return (high + 0.05) / (low + 0.05)


def oklab(rgb: Sequence[float]) -> list[float]:
    """Björn Ottosson 2020, https://bottosson.github.io/posts/oklab."""
    first = ((0.4122214708, 0.5363325363, 0.0514459929), (0.2119034982, 0.6806995451, 0.1073969566))
    last = (0.0883024619, 0.2817188376, 0.6299787005)
    roots = [max(sum(w * p for w, p in zip(row, rgb, strict=True)), 0.0) ** (1 / 3) for row in (*first, last)]
    into = (
        (0.2104542553, 0.7936177850, -0.0040720468),
        (1.9779984951, -2.4285922050, 0.4505937099),
        (0.0259040371, 0.7827717662, -0.8086757660),
    )
    return [sum(w * p for w, p in zip(row, roots, strict=True)) for row in into]


def distance(a: str, b: str, sight: str) -> float:
    seen = [oklab([sum(w * p for w, p in zip(row, linear(c), strict=True)) for row in SIGHT[sight]]) for c in (a, b)]
    return 100 * sum((p - q) ** 2 for p, q in zip(*seen, strict=True)) ** 0.5


def sheets() -> list[str]:
    """The style sheets: of light pages, of dark ones."""
    return [(shipped("reports") / "style" / name).read_text(encoding="utf-8") for name in ("figure.css", "page.css")]


def papers() -> tuple[str, str]:
    light, dark = (re.findall(r"--bg:(#\w{6})", css) for css in sheets())
    return light[0], dark[-1]


HUES = {key: family for key, family in families().items() if key != "other"}


@pytest.mark.parametrize("sight", SIGHT)
@pytest.mark.parametrize("mode", ["light", "dark"])
def test_any_two_families_are_told_apart(mode: str, sight: str) -> None:
    for a, b in itertools.combinations(HUES.values(), 2):
        assert distance(a[mode], b[mode], sight) >= 9.0, (a["title"], b["title"])


@pytest.mark.parametrize("family", families().values(), ids=lambda f: f["title"])
def test_every_hue_is_legible_on_its_paper(family: dict[str, str]) -> None:
    light, dark = papers()
    assert contrast(family["light"], light) >= 4.5
    assert contrast(family["dark"], dark) >= 4.5
    pinned = [re.findall(r"--accs:(#\w{6})", css)[-1] for css in sheets()]
    assert contrast(family["light"], pinned[0]) >= 4.5
    assert contrast(family["dark"], pinned[1]) >= 4.5


def test_every_scheme_of_the_catalogue_has_a_family() -> None:
    for name in catalog.names():
        assert family_of(name, {"survey_class": catalog.entry(name).card.survey_class}) in families()
    assert family_of("longformer", {"survey_class": "fixed pattern + memory"}) == "global"
    assert family_of("axial", {"survey_class": "fixed pattern"}) == "strided"
    assert family_of("sliding_window", {"survey_class": "fixed pattern"}) == "window"
    assert family_of("mine.py:Attention", None) == "other"


def test_a_scheme_keeps_its_style_and_neighbours_in_a_family_differ_in_marker() -> None:
    style_of = styles((s for g in groups(many(30)) for s in g.series), {})
    assert sorted(s.index for s in style_of.values()) == list(range(30))
    for key in families():
        markers = [s.marker for s in style_of.values() if s.family == key]
        assert len(set(markers)) == min(len(markers), 7)
