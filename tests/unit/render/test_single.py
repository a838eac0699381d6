"""One figure of a run by name: as an SVG, and in plotly, with what it says."""

from __future__ import annotations

from pathlib import Path

import pytest

import attnprof
from attnprof.errors import AttnprofError
from attnprof.render import drawn_figure, figure_svg
from attnprof.store import RunFolder
from tests.fakes.records import graph, header, records

MADE = [*records(), *(graph(name, layers=2) for name in ("bigbird", "longformer"))]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "one"
    with RunFolder.create(path, header()).lock() as made:
        for record in MADE:
            made.append(record)
    return path


@pytest.mark.parametrize("name", ["choice", "layers", "time", "relative", "memory", "saved"])
def test_a_figure_of_plotly_shows_the_series_of_the_page(run: Path, name: str) -> None:
    pytest.importorskip("plotly")
    made = attnprof.figure(run, name, pass_="train", causal=False)
    found = drawn_figure(MADE, header(), name, pass_="train", causal=False)
    names = {trace.name for trace in made.data if trace.mode == "markers"}
    assert names == {found.labels[d.series] for panel in found.panels for d in panel.dots}
    assert found.caption in made.layout.title.text
    assert len([key for key in made.layout if key.startswith("xaxis")]) == len(found.panels)


def test_values_in_plotly_are_those_of_the_records(run: Path) -> None:
    pytest.importorskip("plotly")
    made = attnprof.figure(run, "memory", pass_="forward", causal=False)
    trace = next(t for t in made.data if t.name == "longformer" and t.mode == "markers")
    known = {
        r.point.shape.n: r.measured.peak_bytes if r.measured else r.cost.peak_bytes
        for r in records()
        if r.point.target == "longformer" and r.point.pass_ == "forward" and not r.point.shape.causal and r.cost
    }
    drawn = {round(x): y for x, y in zip(trace.x, trace.y, strict=True)}
    assert len(drawn) == len(known)
    for n, y in zip(sorted(known), (drawn[k] for k in sorted(drawn)), strict=True):
        assert y == pytest.approx(known[n], rel=0.03)  # a place is kept to half a pixel


def test_the_svg_is_the_same_each_time_and_says_what_the_page_says() -> None:
    one, two = (figure_svg(drawn_figure(MADE, header(), "choice", at=8192)) for _ in range(2))
    assert one == two
    assert "needs" in one
    assert "Made by attnprof" in one
    assert "var(--" not in one.split("<style>")[0]


def test_what_cannot_be_shown_says_what_can() -> None:
    with pytest.raises(AttnprofError, match="unknown figure") as unknown:
        drawn_figure(MADE, header(), "choise")
    assert "choice" in unknown.value.hint
    with pytest.raises(AttnprofError, match="holds saved") as absent:
        drawn_figure(MADE, header(), "saved", pass_="forward")
    assert "memory" in absent.value.hint
    with pytest.raises(AttnprofError, match="no such points"):
        drawn_figure(MADE, header(), "choice", pass_="decode")
