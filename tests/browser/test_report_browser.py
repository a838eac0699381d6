"""What a reader sees of a report, in a real browser: computed styles and visible boxes, not classes."""

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest

from attnprof.render.claims.evidence import evidence
from attnprof.render.claims.versus import versus
from attnprof.render.series import groups
from tests.fakes.packed import unpacked_text
from tests.fakes.records import records

pytestmark = pytest.mark.browser

DESK = {"width": 1280, "height": 800}
DARK = "rgb(21, 23, 26)"
SEEN = "e => { const b = e.getBoundingClientRect(); return b.width > 0 && b.height > 0; }"
MEETING = """root => {
  const seen = e => e.getBoundingClientRect().width && getComputedStyle(e).display !== 'none';
  const texts = [...document.querySelectorAll(root + ' text')].filter(seen), found = [];
  const boxes = texts.map(e => e.getBoundingClientRect());
  for (let i = 0; i < boxes.length; i++) for (let j = i + 1; j < boxes.length; j++) {
    const a = boxes[i], b = boxes[j];
    const x = Math.min(a.right, b.right) - Math.max(a.left, b.left);
    const y = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
    if (x > 2 && y > 4) found.push(texts[i].textContent + ' / ' + texts[j].textContent);
  }
  return found;
}"""
UNNAMED = """() => [...document.querySelectorAll('button, a[href], input, select, svg[role=img]')].filter(e =>
  !(e.textContent.trim() || e.getAttribute('aria-label') || e.getAttribute('aria-labelledby') || e.closest('label'))
).map(e => e.outerHTML.slice(0, 90))"""
SMALL = """es => es.filter(e => { const b = e.getBoundingClientRect(); return b.height < 18 || b.width < 18; })
  .map(e => e.outerHTML)"""
OPEN = "#n=8k&pass=forward&causal=0"


def hash_of(page: Any) -> dict[str, str]:
    return dict(part.split("=", 1) for part in page.evaluate("location.hash.slice(1)").split("&") if part)


def test_nothing_is_asked_from_elsewhere_and_nothing_goes_wrong(visit, report: Path) -> None:
    found = visit()
    page = found.ready()
    page.locator("[data-fig=choice] [data-do=explore]").click()
    page.wait_for_selector("#explore .scatterlayer .trace", state="attached", timeout=60_000)
    assert [url for url in found.requests if not url.startswith(("data:", "blob:"))] == [report.as_uri()]
    assert found.complaints == []


def test_the_first_screen_answers_and_shows(visit) -> None:
    page = visit(viewport=DESK).ready()
    answer, figure = page.locator("#answer").bounding_box(), page.locator("#choice .desk svg").bounding_box()
    assert answer["y"] + answer["height"] < 800
    assert figure["y"] + figure["height"] <= 800
    assert figure["height"] > 400
    assert re.search(r"At n = \d+k, .* needs .* a layer", page.locator("#answer").inner_text())


def test_without_scripts_answer_figures_table_and_cards_are_there(visit) -> None:
    page = visit(java_script_enabled=False, viewport=DESK).page
    assert "needs" in page.locator("#answer").inner_text()
    for place in ("#choice .desk svg", "#panels svg", "#pair svg"):
        for drawing in page.locator(place).all():
            assert drawing.is_visible()
            assert drawing.bounding_box()["height"] > 100
    assert page.locator("#board tbody tr").count() >= 7
    assert not page.locator("#controls").is_visible()
    assert page.locator("[data-do]:visible").count() == 0
    page.locator("#board a", has_text="longformer").first.click()
    assert page.locator("#scheme-longformer").is_visible()
    page.locator("#points summary").click()
    assert page.locator("#points tbody td:first-child").count() >= len(records())


def test_what_the_script_draws_is_what_was_drawn(visit) -> None:
    """At the same state the markup of every figure, the answer and the table is that of the first paint."""
    static, live = visit(java_script_enabled=False).page, visit().ready()
    for place in ("#choice .desk", "#panels", "#answer"):
        a, b = (re.sub(r"\s+", " ", page.locator(place).inner_html()) for page in (static, live))
        a, b = (re.sub(r"&#\d+;|&amp;|&lt;|&gt;|&quot;", "", text).strip() for text in (a, b))
        assert a == b, place
    rows = [
        sorted(" ".join(row.split()) for row in page.locator("#board tbody tr").all_inner_texts())
        for page in (static, live)
    ]
    assert rows[0] == rows[1]


def test_each_control_writes_the_address_and_a_reload_gives_the_same(visit) -> None:
    page = visit(state=OPEN).ready()
    for key, to in (
        ("n", "2048"),
        ("pass", "train"),
        ("causal", "1"),
        ("metric", "flops_executed"),
        ("reach", "ever"),
        ("least", "0.1"),
        ("y", "layers"),
    ):
        page.locator(f"#controls [data-set={key}][data-to='{to}']").click()
    page.locator("#curve").select_option("p")
    state = hash_of(page)
    wanted = {
        "n": "2k",
        "pass": "train",
        "causal": "1",
        "metric": "flops_executed",
        "reach": "ever",
        "least": "10",
        "y": "layers",
        "curve": "p",
    }
    assert wanted.items() <= state.items()
    before = {
        place: page.locator(place).inner_html() for place in ("#answer", "#choice .desk", "#panels", "#board tbody")
    }
    page.reload()
    page.wait_for_function("document.documentElement.classList.contains('ready')")
    assert before == {place: page.locator(place).inner_html() for place in before}
    page.go_back()
    page.wait_for_function("!location.hash.includes('curve=p')")
    assert page.locator("#curve").input_value() != "p"


def test_an_address_of_nonsense_opens_the_page_as_it_is(visit) -> None:
    found = visit(state="#n=zzz&pass=none&metric=<b>&s=nobody&card=x&reach=-1&curve=constructor")
    assert "needs" in found.ready().locator("#answer").inner_text()
    assert found.complaints == []


def test_pinned_series_are_seen_in_every_figure(visit) -> None:
    page = visit(state=OPEN, viewport=DESK).ready()
    page.locator("#board tr", has_text="longformer").locator("input").check()
    index = page.locator("#board tr", has_text="longformer").get_attribute("data-s")
    other = next(s for s in page.locator("#panels .line").evaluate_all("es => es.map(e => e.dataset.s)") if s != index)
    width = "e => parseFloat(getComputedStyle(e).strokeWidth)"
    pinned = page.locator(f"#panels .line.s{index}").first.evaluate(width)
    pins = hash_of(page)["s"].split(",")
    assert "longformer" in pins
    plain = [
        page.locator(f"#panels .line.s{s}").first.evaluate(width)
        for s in {other}
        if page.locator(f"#board tr[data-s='{s}'] input").is_checked() is False
    ]
    assert all(pinned > w + 0.5 for w in plain)
    assert page.locator(f"#choice .desk .label.s{index}").evaluate("e => getComputedStyle(e).fontWeight") == "700"
    assert page.locator(f"#pair .line.s{index}").first.evaluate(SEEN)
    shown = page.locator("#pair .dot").evaluate_all(
        "es => [...new Set(es.filter(e => getComputedStyle(e).display !== 'none').map(e => e.dataset.s))]"
    )
    assert index in shown
    assert len(shown) <= 2


def test_pointing_at_a_series_dims_the_rest(visit) -> None:
    page = visit(state=OPEN, viewport=DESK).ready()
    row = page.locator("#board tr", has_text="longformer")
    index = row.get_attribute("data-s")
    row.hover()
    opacity = "e => parseFloat(getComputedStyle(e).opacity)"
    assert page.locator(f"#choice .desk .dot.s{index}").evaluate(opacity) == 1
    assert page.locator(f"#choice .desk .dot:not(.s{index})").first.evaluate(opacity) < 0.5


def test_the_ratio_of_two_pinned_is_that_of_the_claims(visit) -> None:
    page = visit(state=f"{OPEN}&s=longformer,bigbird&metric=wall_s").ready()
    (group,) = [g for g in groups(records()) if g.conditions.pass_ == "forward" and not g.conditions.causal]
    from attnprof.quantities import WALL

    a, b = (evidence(next(s for s in group.series if s.target == t), WALL)[8192] for t in ("longformer", "bigbird"))
    found = versus(a, b)
    assert found is not None
    said = page.locator("#pair-said").inner_text()
    assert found.low is not None
    assert found.high is not None
    if found.outcome == "even":
        assert f"not told apart in time at n = 8k [{found.low:.2f}, {found.high:.2f}]" in said
    else:
        low, high, ratio = (
            (found.low, found.high, found.ratio)
            if found.outcome == "less"
            else (1 / found.high, 1 / found.low, 1 / found.ratio)
        )
        assert f"{ratio:.1f}× [{low:.2f}, {high:.2f}] {found.outcome} time" in said
    assert "measured" in said


def test_the_table_sorts_by_value_from_the_keyboard(visit) -> None:
    page = visit(state=f"{OPEN}&s=flash").ready()
    head = page.locator("#board thead th[data-k=peak]")
    head.locator("button").focus()
    for direction in ("ascending", "descending"):
        page.keyboard.press("Enter")
        assert head.get_attribute("aria-sort") == direction
        values = page.locator("#board tbody tr:not([data-s='1']) td.c-peak").evaluate_all(
            "es => es.map(e => parseFloat(e.dataset.v))"
        )
        values = values[1:] if page.locator("#board tbody tr").first.locator("input").is_checked() else values
        assert values == sorted(values, reverse=direction == "descending")
        assert page.evaluate("document.activeElement.closest('th')?.dataset.k") == "peak"
    assert page.locator("#board th[aria-sort]").count() == 1


def test_keys_move_through_lengths_passes_and_cards(visit) -> None:
    page = visit(state=OPEN).ready()
    page.keyboard.press("]")
    assert hash_of(page)["n"] == "16k"
    page.keyboard.press("p")
    assert hash_of(page)["pass"] == "train"
    link = page.locator("#board a", has_text="bigbird").first
    link.focus()
    page.keyboard.press("Enter")
    assert page.locator("#scheme-bigbird").is_visible()
    assert page.evaluate("document.activeElement.id") == "scheme-bigbird"
    page.keyboard.press("Escape")
    assert not page.locator("#scheme-bigbird").is_visible()
    assert page.evaluate("document.activeElement.textContent") == "bigbird"


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (768, 1024), (390, 844)])
def test_no_two_labels_that_a_reader_sees_meet_and_no_page_is_wider_than_its_screen(
    visit, width: int, height: int
) -> None:
    page = visit(state=OPEN, viewport={"width": width, "height": height}).ready()
    for key, to in (("n", "1024"), ("n", "65536"), ("y", "layers"), ("pass", "train"), ("causal", "1")):
        page.locator(f"#controls [data-set={key}][data-to='{to}']").click()
        assert page.evaluate(MEETING, "#choice") == []
        assert page.evaluate(MEETING, "#panels") == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    out = page.locator("#choice text:visible, #panels text:visible").evaluate_all(
        "(es, w) => es.filter(e => e.getBoundingClientRect().right > w).map(e => e.textContent)", width
    )
    assert out == []


def test_plotly_opens_the_same_figure_with_the_same_selection(visit) -> None:
    page = visit(state=f"{OPEN}&s=longformer,flash", viewport=DESK).ready()
    page.locator("[data-fig=choice] [data-do=explore]").click()
    page.wait_for_selector("#explore .scatterlayer .trace", state="attached", timeout=60_000)
    names = page.evaluate(
        "document.querySelector('#explore .plot').data.filter(t => t.name).map(t => [t.name, t.marker.line.width])"
    )
    drawn = page.locator("#choice .desk .dot").evaluate_all("es => es.map(e => e.dataset.s)")
    assert len(names) == len(set(drawn))
    assert {name for name, width in names if width > 2} == {"longformer", "flash"}
    assert page.locator("#explore .plot").bounding_box()["height"] > 300
    texts = page.locator("#explore .xtick text").all_text_contents()
    assert "flash" in texts


def test_downloads_hold_what_is_shown(visit, tmp_path: Path) -> None:
    page = visit(state=OPEN, viewport=DESK, accept_downloads=True).ready()
    for fig, what in itertools.product(("choice", "curves", "difference"), ("svg", "csv", "tex", "png")):
        with page.expect_download() as waiting:
            page.locator(f"[data-fig={fig}] [data-do={what}]").click()
        path = tmp_path / waiting.value.suggested_filename
        waiting.value.save_as(path)
        content = path.read_bytes()
        assert path.name.endswith(f"forward-bidirectional-8k.{what}")
        if what == "png":
            assert content.startswith(b"\x89PNG")
        else:
            assert b"flash" in content or fig == "difference"
        if what == "tex":
            assert content.count(b"\\begin{tikzpicture}") == content.count(b"\\end{tikzpicture}") > 0
        if what == "csv":
            assert content.splitlines()[0] == b"series,impl,pass,mask,n,quantity,value,low,high,state"


def test_dark_light_forced_colours_and_print(visit) -> None:
    page = visit(color_scheme="dark", viewport=DESK).ready()
    ground = "getComputedStyle(document.body).backgroundColor"
    ink = "e => getComputedStyle(e).fill"
    dark = page.locator("#choice .desk .label").first.evaluate(ink)
    assert page.evaluate(ground) == DARK
    page.emulate_media(color_scheme="light")
    assert page.evaluate(ground) != DARK
    assert page.locator("#choice .desk .label").first.evaluate(ink) != dark
    page.emulate_media(forced_colors="active")
    assert page.locator("#choice .desk svg").is_visible()
    page.emulate_media(media="print", color_scheme="dark", forced_colors="none")
    assert page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--ink').trim()") == "#1c1e21"
    for hidden in ("#controls", "#cards", "#points", "nav"):
        assert not page.locator(hidden).first.is_visible()
    assert page.locator("#choice .desk svg").is_visible()


def test_print_takes_at_most_eight_pages_for_eighty_targets(visit, large: Path, tmp_path: Path) -> None:
    page = visit(large, viewport=DESK).ready()
    printed = page.pdf(path=tmp_path / "page.pdf", format="A4", prefer_css_page_size=True)
    assert len(re.findall(rb"/Type\s*/Page[^s]", printed)) <= 8


def test_the_large_page_paints_first_and_is_soon_ready(visit, large: Path) -> None:
    found = visit(large, viewport=DESK)
    page = found.ready()
    paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0")
    assert paint < 1500  # 150 ms on a machine of its own; shared ones take several times that
    assert found.complaints == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280


def test_headings_form_one_outline_and_everything_has_a_name(visit) -> None:
    page = visit().ready()
    levels = page.locator("h1, h2, h3, h4").evaluate_all(
        "es => es.filter(e => e.offsetParent).map(e => Number(e.tagName[1]))"
    )
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b <= a + 1 for a, b in itertools.pairwise(levels))
    assert page.evaluate(UNNAMED) == []
    small = page.locator("button:visible, input:visible, select:visible").evaluate_all(SMALL)
    assert small == []


def test_the_data_of_the_page_are_the_claims_of_every_state(report: Path) -> None:
    """Every state's sentence is packed: none is made by the script."""
    (packed,) = re.findall(r'id="data">([^<]*)<', report.read_text())
    data = json.loads(unpacked_text(packed))
    for view in data["views"]:
        for n in view["lengths"]:
            for key, _ in view["metrics"]:
                found = view["choice"][str(n)][key]
                assert set(found) == {"1", "2", "4", "16", "ever"}
                assert all(len(numbers) == len(data["least"]) for numbers in found.values())
                assert all(data["said"][k][0] for numbers in found.values() for k in numbers)
    assert len({tuple(map(str, text)) for text in data["said"]}) == len(data["said"])
