"""The page of `attnprof graph`: four pictures a target, a slider over layers, a cone for the query that is chosen."""

from pathlib import Path

import pytest

pytestmark = pytest.mark.browser


def test_nothing_is_asked_from_elsewhere_and_nothing_goes_wrong(visit, graph_report: Path) -> None:
    found = visit(graph_report)
    assert [url for url in found.requests if not url.startswith("data:")] == [graph_report.as_uri()]
    assert found.complaints == []


def test_without_scripts_every_picture_is_there(visit, graph_report: Path) -> None:
    page = visit(graph_report, java_script_enabled=False).page
    for name in ("The mask", "Hops between them", "Pairs within reach", "What one query depends on"):
        pictures = page.locator(".views figure", has=page.get_by_role("heading", name=name)).locator("img")
        assert pictures.count() >= 2
        assert pictures.evaluate_all("all => all.every(e => e.complete && e.naturalWidth > 0)")
    curves = page.locator("figure.curve svg")
    assert curves.count() == 2
    for line in (".mean", ".dense", ".without"):
        assert curves.first.locator(line).is_visible()


def test_the_slider_shows_the_pairs_within_each_layer(visit, graph_report: Path) -> None:
    page = visit(graph_report).page
    figure = page.locator("figure", has=page.get_by_role("heading", name="Pairs within reach")).first
    slider, told, image = figure.locator("input[type=range]"), figure.locator("output"), figure.locator("img")
    first, seen = image.get_attribute("src"), [told.inner_text()]
    for _ in range(int(slider.get_attribute("max") or 0)):
        slider.press("ArrowRight")
        seen.append(told.inner_text())
    assert seen[:2] == ["within 1 layer", "within 2 layers"]
    assert image.get_attribute("src") != first
    assert image.evaluate("e => e.naturalWidth > 0")


def test_a_chosen_query_has_a_cone_of_its_own(visit, graph_report: Path) -> None:
    page = visit(graph_report).page
    figure = page.locator("figure", has=page.get_by_role("heading", name="What one query depends on")).first
    before = figure.locator("img.influence").get_attribute("src")
    figure.get_by_role("button", name="511").click()
    assert figure.get_by_role("button", name="511").get_attribute("aria-pressed") == "true"
    assert figure.locator("[aria-pressed=true]").count() == 1
    assert figure.locator("img.influence").get_attribute("src") != before
    assert "query 511" in figure.locator("output").inner_text()
    assert figure.locator(".at").first.evaluate("e => e.style.left") == "100%"


def test_the_first_screen_holds_all_targets_in_one_frame(visit, graph_report: Path) -> None:
    page = visit(graph_report, java_script_enabled=False, viewport={"width": 1280, "height": 800}).page
    frame = page.locator("#reach .desk svg")
    box = frame.bounding_box()
    assert box["y"] + box["height"] < 800
    assert set(frame.locator(".label").all_text_contents()) == {"longformer", "bigbird"}
    strokes = {frame.locator(f".line.s{k}").evaluate("e => getComputedStyle(e).stroke") for k in (0, 1)}
    assert len(strokes) == 2
    pictures = page.locator("#masks .mask-image")
    assert pictures.count() == 4
    assert pictures.evaluate_all("all => all.every(e => e.complete && e.naturalWidth > 0)")


def test_every_fact_says_how_sure_it_is(visit, graph_report: Path) -> None:
    page = visit(graph_report, java_script_enabled=False).page
    rows = page.locator("table.known").first.locator("tbody tr")
    for row in rows.all():
        assert row.locator(".badge").count() == 1 or row.locator(".why").inner_text()


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_no_page_is_wider_than_its_screen(visit, graph_report: Path, width: int) -> None:
    page = visit(graph_report, viewport={"width": width, "height": 800}).page
    assert page.evaluate("document.documentElement.scrollWidth") <= width
