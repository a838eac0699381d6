"""What a reader sees of the page of models, in a real browser: computed styles and visible boxes."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from tests.browser.test_report_browser import DARK, DESK, MEETING, SEEN, SMALL, UNNAMED, hash_of

pytestmark = pytest.mark.browser

OPEN = "#n=8k&pass=prefill"


def test_nothing_is_asked_from_elsewhere_and_nothing_goes_wrong(visit, models: Path) -> None:
    found = visit(models)
    found.ready()
    assert [url for url in found.requests if not url.startswith("data:")] == [models.as_uri()]
    assert found.complaints == []


def test_the_first_screen_answers_and_shows_without_scripts(visit, models: Path) -> None:
    page = visit(models, java_script_enabled=False, viewport=DESK).page
    answer, figure = page.locator("#answer").bounding_box(), page.locator("#share .desk svg:visible").bounding_box()
    assert max(answer["y"] + answer["height"], figure["y"] + figure["height"]) <= 800
    assert "gpt_oss_20b, prefill of n = 128k" in page.locator("#answer").inner_text()
    assert not page.locator("#controls").is_visible()
    for place in ("#layers .desk svg", "#cost svg", "#kept svg", "#reach .desk svg"):
        assert page.locator(f"{place}:visible").count() >= 1, place
    assert page.locator("#cost svg:visible").count() == 3
    assert page.locator("#frameworks table tbody tr").count() >= 3 * 6


def test_each_control_writes_the_address_and_a_reload_gives_the_same(visit, models: Path) -> None:
    page = visit(models, OPEN).ready()
    for key, to in (("n", "131072"), ("pass", "decode"), ("y", "flops"), ("model", "1")):
        page.locator(f"[data-set={key}][data-to='{to}']").click()
    assert {"n": "128k", "pass": "decode", "y": "flops"}.items() <= hash_of(page).items()
    assert "gemma3_27b" not in page.evaluate("location.hash")
    before = page.locator("main").inner_text()
    assert "a decoding step behind n = 128k" in before
    page.reload()
    page.wait_for_function("document.documentElement.classList.contains('ready')")
    assert page.locator("main").inner_text() == before
    page.go_back()
    page.wait_for_function("!location.hash.includes('&s=')")
    assert page.locator("#model-1").is_visible()


def test_an_address_of_nonsense_opens_the_page_as_it_is(visit, models: Path) -> None:
    found = visit(models, "#n=zzz&pass=none&s=nobody&y=constructor")
    assert "prefill of n = 128k" in found.ready().locator("#answer").inner_text()
    assert found.complaints == []


def test_a_model_that_is_put_away_is_in_no_figure_and_the_last_one_stays(visit, models: Path) -> None:
    page = visit(models, OPEN, viewport=DESK).ready()
    assert page.locator("#share .desk .line.s1:visible").first.evaluate(SEEN)
    for k in (0, 1, 2):
        page.locator(f"[data-set=model][data-to='{k}']").click()
    assert page.locator("#share .desk .s1:visible, #answer .m1:visible, #kept .m1:visible").count() == 0
    assert page.locator("[data-set=model][aria-pressed=true]").count() == 1
    assert page.locator("#answer > div:visible").count() == 1


def test_cells_and_the_rule_follow_the_length(visit, models: Path) -> None:
    page = visit(models, OPEN, viewport=DESK).ready()
    place, cell = page.locator("#share [data-pass=prefill] .desk .rule"), page.locator("#models tbody tr").first
    left = "e => e.getBoundingClientRect().left"
    before, told = place.evaluate(left), cell.inner_text()
    page.keyboard.press("]")
    assert hash_of(page)["n"] == "32k"
    assert place.evaluate(left) > before + 20
    assert cell.inner_text() != told
    page.keyboard.press("p")
    assert page.locator("#cost [data-pass=train]").is_visible()
    assert not page.locator("#cost [data-pass=prefill]").is_visible()


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (768, 1024), (390, 844)])
def test_no_two_labels_that_a_reader_sees_meet_and_no_page_is_wider_than_its_screen(
    visit, models: Path, width: int, height: int
) -> None:
    page = visit(models, OPEN, viewport={"width": width, "height": height}).ready()
    for key, to in (("pass", "train"), ("pass", "decode"), ("y", "flops"), ("n", "131072")):
        page.locator(f"[data-set={key}][data-to='{to}']").click()
        for place in ("#share", "#layers", "#cost", "#kept", "#reach"):
            assert page.locator(f"{place} svg:visible").count()
            assert page.evaluate(MEETING, place) == [], place
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    out = page.locator("figure text:visible, .panels text:visible, article text:visible").evaluate_all(
        "(es, w) => es.filter(e => e.getBoundingClientRect().right > w).map(e => e.textContent)", width
    )
    assert out == []


def test_downloads_hold_what_is_shown(visit, models: Path, tmp_path: Path) -> None:
    page = visit(models, OPEN, viewport=DESK, accept_downloads=True).ready()
    for fig in ("share", "layers", "cost", "kept", "reach"):
        for what in ("svg", "csv"):
            with page.expect_download() as waiting:
                page.locator(f"[data-fig={fig}] [data-do={what}]").click()
            path = tmp_path / f"{fig}.{what}"
            waiting.value.save_as(path)
            assert "gpt_oss_20b" in path.read_text(), (fig, what)


def test_dark_forced_colours_and_print(visit, models: Path) -> None:
    page = visit(models, OPEN, color_scheme="dark", viewport=DESK).ready()
    bar, fill = page.locator("#cost .area:visible").first, "e => getComputedStyle(e).fill"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == DARK
    dark = bar.evaluate(fill)
    page.emulate_media(color_scheme="light")
    assert bar.evaluate(fill) != dark
    page.emulate_media(forced_colors="active")
    assert bar.evaluate(SEEN)
    page.emulate_media(media="print", color_scheme="dark", forced_colors="none")
    assert page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--ink').trim()") == "#1c1e21"
    assert not page.locator("#controls").is_visible()
    assert page.locator("#share .desk svg:visible").count() == 1


def test_headings_form_one_outline_and_everything_has_a_name(visit, models: Path) -> None:
    page = visit(models, OPEN).ready()
    levels = page.locator("h1, h2, h3, h4").evaluate_all(
        "es => es.filter(e => e.offsetParent).map(e => Number(e.tagName[1]))"
    )
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b <= a + 1 for a, b in itertools.pairwise(levels))
    assert page.evaluate(UNNAMED) == []
    assert page.locator("button:visible").evaluate_all(SMALL) == []
    told = page.locator("svg[role=img]:visible").evaluate_all("es => es.map(e => e.getAttribute('aria-label'))")
    assert all(len(text) > 40 for text in told)
