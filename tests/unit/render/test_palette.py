import re

import pytest

from attnprof.locate import shipped
from attnprof.render.palette import palette, styles
from attnprof.render.series import groups
from tests.fakes.records import many


def luminance(colour: str) -> float:
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def papers() -> tuple[str, str]:
    css = (shipped("reports") / "style" / "page.css").read_text(encoding="utf-8")
    light, dark = re.findall(r"--paper: (#\w{6});", css)
    return light, dark


def test_seventy_schemes_differ_in_hue_and_marker() -> None:
    found = styles(s for g in groups(many(72)) for s in g.series)
    assert len({(s.hue, s.marker) for s in found.values() if not s.ink}) == 70
    assert len({s.dash for s in found.values() if s.ink}) == 2


@pytest.mark.parametrize("hue", [*palette()["hue"], palette()["baseline"]], ids=lambda h: h.get("name", "ink"))
def test_every_hue_is_legible_on_its_paper(hue: dict[str, str]) -> None:
    light, dark = papers()
    assert contrast(hue["light"], light) >= 4.0
    assert contrast(hue["dark"], dark) >= 4.5


def test_a_scheme_keeps_its_style_in_every_figure() -> None:
    found = groups(many(30))
    style_of = styles(s for g in found for s in g.series)
    assert sorted(s.index for s in style_of.values()) == list(range(30))
