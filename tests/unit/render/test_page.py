import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnprof.records import Point, Record
from attnprof.render import write_page
from attnprof.render.page import page
from attnprof.render.patterns import Picture
from attnprof.render.plotly_js import packed_text
from attnprof.render.wording import definitions
from attnprof.shapes import Shape
from attnprof.words import Status
from tests.fakes.packed import unpacked_text
from tests.fakes.records import graph, header, many, records


@cache
def usual(*graphs: str) -> str:
    """The page of the made-up records, with graph records of these targets."""
    return page([*records(), *map(graph, graphs)], header(), plotly=False)


def text(html: str) -> str:
    """What a reader sees of the page, roughly."""
    body = re.sub(r"<(script|style)\b.*?</\1>", "", html, flags=re.S)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body))


def test_the_same_records_give_the_same_bytes(tmp_path: Path) -> None:
    one, two = (write_page(tmp_path / name, records(), header()) for name in ("a.html", "b.html"))
    assert one.read_bytes() == two.read_bytes()


def test_the_page_asks_for_nothing_from_elsewhere() -> None:
    html = usual("bigbird")
    for address in re.findall(r"""(?:src|srcset|action|poster)=["']([^"']*)["']""", html):
        assert address.startswith(("#", "data:")), address
    for address in re.findall(r"url\(([^)]*)\)", html):
        assert address.startswith("data:"), address
    assert "@import" not in html
    assert "<link" not in html


def test_first_paint_is_static_and_answers() -> None:
    html = usual()
    assert html.count('<svg class="fig scatter"') == 2
    first = text(html)[:1500]
    assert re.search(r"At\s+n = \d+k\s*, \w+, \w+,\s+flash\s+needs", first)
    body = html[html.index('id="board"') : html.index('<section id="curves"')]
    assert body.count('<th scope="row">') == 9
    assert 'id="plotly-gz"' not in html


def test_plotly_is_inside_once_and_whole() -> None:
    from attnprof.render.plotly_js import bundle

    html = page(records(), header())
    (packed,) = re.findall(r'id="plotly-gz">([^<]*)<', html)
    assert unpacked_text(packed) == bundle().read_bytes()


@given(st.binary(max_size=200))
def test_what_is_packed_is_unpacked_and_cannot_close_its_element(data: bytes) -> None:
    packed = packed_text(data)
    assert unpacked_text(packed) == data
    assert "<" not in packed


def test_names_cannot_close_an_element() -> None:
    point = Point("</script><b>", Shape(n=64))
    bad = Record("cost", "k", point, status="failed", reasons={"measured": "<i>boom</i>"})
    html = page([*records(), bad], header())
    (packed,) = re.findall(r'id="data">([^<]*)</script>', html)
    data = json.loads(unpacked_text(packed))
    assert any(series[0] == "</script><b>" for series in data["series"])
    assert "<i>boom" not in html
    assert "&lt;i&gt;boom" in html
    assert "</script><b>" not in html


@pytest.mark.parametrize("section", ["schemes", "curves", "difference", "cards", "measured", "points", "cite"])
def test_every_section_is_there(section: str) -> None:
    assert f'<section id="{section}"' in usual("bigbird")


def test_the_reader_sees_command_environment_conditions_and_citation() -> None:
    seen = text(usual())
    for part in (
        "attnprof sweep --lengths 1k-64k",
        "Example CPU @ 2.10GHz",
        "one attention layer · batch 1 · width 512, 8 heads · float32 · device cpu",
        "2026-01-02 03:04 UTC",
        "@misc{attnprof",
        "@article{beltagy2020longformer",
    ):
        assert part in seen


def test_every_definition_is_printed_from_its_one_source() -> None:
    html = usual()
    for word in definitions()["word"]:
        assert f"<dt>{word['name']}</dt>" in html


def test_every_status_has_words() -> None:
    assert set(Status.values()) | {"missing"} == set(definitions()["status"])


def test_numbers_in_findings_come_from_the_records() -> None:
    seen = text(usual())
    assert "sparse_strided executes 256× the core FLOPs that its edges need at n = 64k (by a masked" in seen
    assert "17,381,195,776 bytes" in seen
    fewer = [r for r in records() if r.point.target != "sparse_strided"]
    assert "executes 256×" not in text(page(fewer, header(), plotly=False))


def test_a_page_of_graph_records_alone_has_pictures_and_no_figures() -> None:
    html = page([graph("bigbird"), graph("longformer", layers=None)], header(), plotly=False)
    assert html.count("data:image/png;base64,") == 2
    assert '<section id="curves"' not in html


def test_pictures_may_come_from_a_function() -> None:
    def picture(name: str) -> Picture | None:
        return Picture([[0, 1], [1, 0]], 4096) if name == "bigbird" else None

    assert page(records(), header(), plotly=False, picture=picture).count("data:image/png;base64,") == 1


def test_an_anonymous_page_names_no_host_and_no_command() -> None:
    seen = page(records(), header(), plotly=False, anonymous=True)
    assert "lab-17" not in seen
    assert "attnprof sweep --lengths" not in seen


def test_eighty_targets_at_seven_lengths_and_two_passes_stay_one_page_of_3_mb_and_few_words() -> None:
    made = [r for r in many(80) if not r.point.shape.causal]
    made += [graph(name) for name in sorted({r.point.target for r in made})]
    html = page(made, header())
    assert len(html) <= 3_000_000
    before = html[: html.index('<section id="points"')]
    for cut in ("table", "svg", "details", "article", "ul class=.tiles", "button", "select", "nav"):
        before = re.sub(rf"<{cut}\b.*?</{cut.split()[0]}>", "", before, flags=re.S)
    assert len(re.findall(r"[A-Za-z]{2,}", text(before))) <= 400


def test_an_empty_run_still_gives_a_page() -> None:
    assert "no cost that was counted" in text(page([], header(), plotly=False))


def test_rendering_loads_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, 'tests'); from fakes.records import header, records;"
        "from attnprof.render import write_page;"
        f"write_page({str(tmp_path / 'p.html')!r}, records(), header());"
        "print([m for m in ('torch', 'plotly', 'matplotlib', 'networkx', 'scipy', 'pandas') if m in sys.modules])"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    assert done.stdout.strip() == "[]"
