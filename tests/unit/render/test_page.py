import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from attnprof.records import Point, Record
from attnprof.render import write_page
from attnprof.render.page import page
from attnprof.render.patterns import Picture
from attnprof.render.wording import definitions
from attnprof.shapes import Shape
from attnprof.words import Status
from tests.fakes.records import graph, header, many, records


def text(html: str) -> str:
    """What a reader sees of the page, roughly."""
    body = re.sub(r"<(script|style)\b.*?</\1>", "", html, flags=re.S)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body))


def test_the_same_records_give_the_same_bytes(tmp_path: Path) -> None:
    one, two = (write_page(tmp_path / name, records(), header()) for name in ("a.html", "b.html"))
    assert one.read_bytes() == two.read_bytes()


def test_the_page_asks_for_nothing_from_elsewhere() -> None:
    html = page([*records(), graph("bigbird")], header(), plotly=False)
    for address in re.findall(r"""(?:src|href|action|poster|srcset)=["']([^"']*)["']""", html):
        assert address.startswith(("#", "data:")), address
    assert "@import" not in html
    assert "url(" not in html
    assert "<link" not in html


def test_first_paint_is_static() -> None:
    html = page(records(), header(), plotly=False)
    assert html.count('<svg class="static"') == 14
    assert html.count('<tr><th scope="row">dense</th>') >= 28
    assert 'id="plotly-gz"' not in html


def test_plotly_is_inside_once_and_whole() -> None:
    import base64
    import gzip

    from attnprof.render.plotly_js import bundle

    html = page(records(), header())
    (packed,) = re.findall(r'id="plotly-gz">([^<]*)<', html)
    assert gzip.decompress(base64.b64decode(packed)) == bundle().read_bytes()


def test_the_data_of_the_figures_is_json_that_cannot_close_its_element() -> None:
    point = Point("</script><b>", Shape(n=64))
    html = page(
        [*records(), Record("cost", "k", point, status="failed", reasons={"measured": "<i>boom</i>"})], header()
    )
    (spec,) = re.findall(r'id="figures-data">(.*?)</script>', html, flags=re.S)
    assert any(style["label"] == "</script><b>" for style in json.loads(spec)["styles"])
    assert "<i>boom" not in html
    assert "&lt;i&gt;boom" in html


@pytest.mark.parametrize(
    "section", ["findings", "figures", "crossovers", "points", "patterns", "words", "environment", "cite"]
)
def test_every_section_is_there(section: str) -> None:
    assert f'<section id="{section}"' in page([*records(), graph("bigbird")], header(), plotly=False)


def test_the_reader_sees_command_environment_conditions_and_citation() -> None:
    seen = text(page(records(), header(), plotly=False))
    for part in (
        "attnprof sweep --lengths 1k-64k",
        "Example CPU @ 2.10GHz",
        "level attention · b = 1 · D = 512 · h = 8 · float32 · device cpu",
        "begun 2026-01-02 03:04 UTC",
        "@misc{attnprof",
        "@article{beltagy2020longformer",
    ):
        assert part in seen


def test_every_definition_is_printed_from_its_one_source() -> None:
    html = page(records(), header(), plotly=False)
    for word in definitions()["word"]:
        assert f"<dt>{word['name']}</dt>" in html


def test_every_status_has_words() -> None:
    assert set(Status.values()) | {"missing"} == set(definitions()["status"])


def test_numbers_in_findings_come_from_the_records() -> None:
    seen = text(page(records(), header(), plotly=False))
    assert "sparse_strided executes 256× the core FLOPs that its edges need" in seen
    assert "17,381,195,776 bytes" in seen
    fewer = [r for r in records() if r.point.target != "sparse_strided"]
    assert "sparse_strided" not in text(page(fewer, header(), plotly=False))


def test_a_page_of_graph_records_alone_has_pictures_and_no_figures() -> None:
    html = page([graph("bigbird"), graph("longformer", layers=None)], header(), plotly=False)
    assert html.count("data:image/png;base64,") == 2
    assert '<section id="figures"' not in html


def test_pictures_may_come_from_a_function() -> None:
    def picture(name: str) -> Picture | None:
        return Picture([[0, 1], [1, 0]], 4096) if name == "bigbird" else None

    assert page(records(), header(), plotly=False, picture=picture).count("data:image/png;base64,") == 1


def test_an_anonymous_page_names_no_host_and_no_command() -> None:
    seen = page(records(), header(), plotly=False, anonymous=True)
    assert "lab-17" not in seen
    assert "attnprof sweep --lengths" not in seen


def test_thirty_schemes_stay_one_page_of_moderate_size() -> None:
    html = page(many(30), header(), plotly=False)
    assert len(html) < 3_000_000
    assert html.count('<svg class="static"') == 14


def test_an_empty_run_still_gives_a_page() -> None:
    assert "Environment and command" in text(page([], header(), plotly=False))


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
