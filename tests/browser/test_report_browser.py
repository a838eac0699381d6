import itertools
from pathlib import Path

import pytest

from tests.fakes.records import records

pytestmark = pytest.mark.browser

DARK = "rgb(20, 22, 26)"


def test_nothing_is_asked_from_elsewhere_and_nothing_goes_wrong(visit, report: Path) -> None:
    found = visit()
    found.hydrated()
    assert found.requests == [report.as_uri()]
    assert found.complaints == []


def test_without_scripts_figures_and_table_are_there(visit) -> None:
    page = visit(java_script_enabled=False).page
    assert page.locator("svg.static").count() == 14
    for drawing in page.locator("svg.static").all():
        assert drawing.is_visible()
        assert drawing.bounding_box()["height"] > 150
    assert page.locator("#all-points tbody tr").count() == len(records())
    assert page.locator("svg.static .s.ink .curve").first.evaluate("e => getComputedStyle(e).strokeWidth") == "2.2px"
    assert not page.locator(".filter").is_visible()
    assert page.locator(".gallery img").first.evaluate("e => e.complete && e.naturalWidth > 0")


def test_with_scripts_plotly_takes_over_in_place(visit) -> None:
    page = visit(viewport={"width": 1280, "height": 900}).hydrated()
    plot = page.locator(".plot").first
    box = plot.bounding_box()
    assert not plot.locator("svg.static").is_visible()
    assert plot.locator(".scatterlayer .trace").count() >= 8
    live = plot.locator(".live").bounding_box()
    assert abs(live["width"] - box["width"]) < 2
    assert abs(live["height"] - box["height"]) < 2
    assert plot.locator(".annotation-text", has_text="longformer").count() == 1


def test_a_pressed_scheme_stands_out_in_every_panel(visit) -> None:
    page = visit().page
    chip = page.locator(".legend button", has_text="longformer").first
    chip.click()
    assert chip.get_attribute("aria-pressed") == "true"
    page.mouse.move(0, 0)
    index = chip.get_attribute("data-s")
    panels = page.locator(".plot svg.static").count()
    assert page.locator(f".plot svg.static .s[data-s='{index}'].hot").count() == panels
    chip.click()
    page.mouse.move(0, 0)
    chip.evaluate("e => e.blur()")
    assert page.locator(".hot").count() == 0


def test_the_table_sorts_by_value_from_the_keyboard(visit) -> None:
    page = visit().page
    head = page.locator("#all-points thead th", has_text="Wall time")
    head.locator("button").focus()
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    values = page.locator("#all-points tbody tr td:nth-child(6)").evaluate_all("es => es.map(e => e.dataset.v)")
    known = [float(v) for v in values if v]
    assert known == sorted(known)
    assert values[len(known) :] == [""] * (len(values) - len(known))
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    values = page.locator("#all-points tbody tr td:nth-child(6)").evaluate_all("es => es.map(e => e.dataset.v)")
    assert [float(v) for v in values if v] == sorted(known, reverse=True)
    assert page.locator("#all-points th[aria-sort]").count() == 1


def test_the_filter_hides_rows_and_says_how_many_remain(visit) -> None:
    page = visit().page
    page.get_by_role("searchbox").fill("bigbird train")
    shown = page.locator("#all-points tbody tr:visible").count()
    assert shown == sum(r.point.target == "bigbird" and r.point.pass_ == "train" for r in records())
    assert f"{shown} of {len(records())}" in page.locator(".filter [role=status]").inner_text()


def test_dark_and_light_follow_the_reader(visit) -> None:
    dark = visit(color_scheme="dark").hydrated()
    assert dark.evaluate("getComputedStyle(document.body).backgroundColor") == DARK
    light = visit(color_scheme="light").page
    assert light.evaluate("getComputedStyle(document.body).backgroundColor") != DARK
    ink = "e => getComputedStyle(e).stroke"
    selector = "svg.static .s.ink .curve"
    assert dark.locator(selector).first.evaluate(ink) != light.locator(selector).first.evaluate(ink)


def test_plotly_changes_its_colours_with_the_scheme(visit) -> None:
    page = visit(color_scheme="light").hydrated()
    stroke = "document.querySelector('.plot.upgraded .trace .lines path').style.stroke"
    before = page.evaluate(stroke)
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"{stroke} !== {before!r}", timeout=20_000)


def test_print_shows_the_static_figures_on_white(visit) -> None:
    page = visit(color_scheme="dark").hydrated()
    page.emulate_media(media="print", color_scheme="dark")
    assert page.locator("svg.static").first.is_visible()
    assert not page.locator(".plot .live").first.is_visible()
    assert page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--ink').trim()") == "#17191c"


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_no_page_is_wider_than_its_screen(visit, width: int) -> None:
    page = visit(viewport={"width": width, "height": 800}).page
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_certificate_opens_without_scripts(visit) -> None:
    page = visit(java_script_enabled=False).page
    details = page.locator("#all-points details").first
    details.locator("summary").click()
    assert details.locator("dd", has_text="aten.mm").is_visible()


def test_headings_form_one_outline(visit) -> None:
    page = visit(java_script_enabled=False).page
    levels = page.locator("h1, h2, h3, h4").evaluate_all("es => es.map(e => Number(e.tagName[1]))")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b <= a + 1 for a, b in itertools.pairwise(levels))
