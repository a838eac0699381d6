import csv
import io
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from attnprof.errors import AttnprofError
from attnprof.render import venues, write_paper
from attnprof.render.backends.images import painted
from attnprof.render.layout.display import Lettering
from attnprof.render.macros import letters
from attnprof.render.paper import Paper
from attnprof.render.series import groups, latest
from tests.fakes.records import SCHEMES, header, many, records

SMALL = (SCHEMES[0], SCHEMES[1], SCHEMES[3], SCHEMES[7])
MADE = [r for r in records(SMALL) if not r.point.shape.causal]
needs_latex = pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")


def written(folder: Path, **asked: object) -> dict[str, str]:
    """What a paper of the made-up records holds, pictures left out."""
    paths = write_paper(folder, asked.pop("made", MADE), header(), str(asked.pop("venue", "icml")), **asked)  # type: ignore[arg-type]
    return {p.name: p.read_text() for p in paths if p.suffix in (".tex", ".csv", ".bib")}


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("paper")
    write_paper(folder, MADE, header(), "icml")
    return folder


def test_the_same_records_give_the_same_bytes(paper: Path, tmp_path: Path) -> None:
    files = write_paper(tmp_path, MADE, header(), "icml")
    assert len(files) == len(list(paper.iterdir()))
    for path in files:
        assert path.read_bytes() == (paper / path.name).read_bytes(), path.name


def test_the_data_of_every_panel_lie_beside_its_figure(paper: Path) -> None:
    figures = {p.stem for p in paper.glob("fig-*.tex")}
    assert figures == {"fig-forward-bidirectional", "fig-train-bidirectional"}
    for name in figures:
        assert {p.stem for p in paper.glob(f"{name}-*.csv")} == {f"{name}-{key}" for key in ("t", "rel", "p")}


def test_a_csv_holds_every_point_with_a_value_its_state_or_a_reason(paper: Path) -> None:
    rows = list(csv.DictReader(io.StringIO((paper / "fig-train-bidirectional-t.csv").read_text())))
    assert len(rows) == len(SMALL) * 7
    for row in rows:
        valued = row["state"] in ("measured", "flagged", "predicted", "counted")
        assert bool(row["value"]) == valued
        assert valued or row["reason"]
        assert row["impl"]
        assert row["state"] != "measured" or float(row["low"]) <= float(row["value"]) <= float(row["high"])


def test_points_csv_has_every_record(paper: Path) -> None:
    rows = list(csv.DictReader(io.StringIO((paper / "points.csv").read_text())))
    assert len(rows) == len(MADE)
    assert {"flops_executed", "peak_bytes", "wall_s_low", "status", "reasons"} <= set(rows[0])


def test_what_is_cited_is_in_the_bibliography(paper: Path) -> None:
    bib = (paper / "references.bib").read_text()
    table = (paper / "tab-forward-bidirectional.tex").read_text()
    for key in ("vaswani2017attention", "beltagy2020longformer", "choromanski2021performer"):
        assert f"{{{key}," in bib
        assert f"\\cite{{{key}}}" in table


def test_a_table_has_its_baseline_its_parameters_and_the_meaning_of_every_mark(tmp_path: Path) -> None:
    made = [replace(r, flags=("noisy",)) if r.point.target == "longformer" and r.measured else r for r in MADE]
    for n, mark, words in ((65536, r"$^\dagger$", "predicted, not run"), (8192, r"$^\ddagger$", "flagged as noisy")):
        files = written(tmp_path, made=made, at=n)
        table = files["tab-forward-bidirectional.tex"]
        flash = next(line for line in table.splitlines() if line.startswith("flash"))
        assert r"1.00$\times$" in flash
        assert "window 512" in table
        caption = re.search(r"caption\{(Cost at n = \d+k.*?)\n", files["main.tex"])
        assert caption is not None
        assert mark in table
        assert words in caption[1]
    assert "out of memory" in written(tmp_path, at=65536)["tab-forward-bidirectional.tex"]


def test_only_a_least_that_is_apart_from_all_others_is_bold(tmp_path: Path) -> None:
    table = written(tmp_path, at=8192)["tab-forward-bidirectional.tex"]
    bold = [line for line in table.splitlines() if "textbf" in line]
    assert len(bold) == 1
    assert bold[0].startswith("performer")


def test_captions_and_methods_say_what_every_mark_means_and_what_is_doubtful(paper: Path) -> None:
    main = (paper / "main.tex").read_text()
    assert "A cross: the next length does not fit in memory." in main
    assert "Computed by its own eager code: dense, flash, performer; by gather: longformer." in main
    assert "batch 1" in main
    methods = (paper / "methods.tex").read_text()
    assert "carry a flag" in methods
    assert "longformer: window 512" in methods
    assert "3 rounds of a fresh process each" in methods


def test_numbers_are_macros_with_their_hedges(tmp_path: Path) -> None:
    numbers = written(tmp_path, at=8192)["numbers.tex"]
    assert r"\newcommand{\apForwardBidirectionalN}{8k}" in numbers
    assert re.search(r"\\newcommand\{\\apForwardBidirectionalLongformerRatio\}\{[\d.]+\$\\times\$ \[", numbers)
    assert letters("image_1d") == "ImageOned"


def test_at_most_nine_series_and_four_panels_or_a_refusal(tmp_path: Path) -> None:
    for asked in ({"schemes": [f"s{k}" for k in range(10)]}, {"panels": ["time", "memory", "flops", "saved", "state"]}):
        with pytest.raises(AttnprofError):
            write_paper(tmp_path, MADE, header(), **asked)  # type: ignore[arg-type]
    with pytest.raises(AttnprofError, match="panel"):
        write_paper(tmp_path, MADE, header(), panels=["tme"])
    with pytest.raises(AttnprofError, match="scheme"):
        write_paper(tmp_path, MADE, header(), schemes=["lngformer"])
    with pytest.raises(AttnprofError, match="nothing at n = 3"):
        write_paper(tmp_path, MADE, header(), at=3)


def test_a_length_without_a_baseline_is_refused(tmp_path: Path) -> None:
    made = [r for r in MADE if r.point.target not in ("dense", "flash") or r.point.shape.n < 8192]
    with pytest.raises(AttnprofError, match="no baseline has a value at n = 64k") as caught:
        write_paper(tmp_path, made, header(), at=65536)
    assert "--at 4k" in caught.value.hint


def test_chosen_schemes_and_panels_alone_are_shown(tmp_path: Path) -> None:
    files = written(tmp_path, schemes=["flash", "longformer"], panels=["flops", "memory"], at=8192)
    figure = files["fig-forward-bidirectional.tex"]
    assert "longformer" in figure
    assert "performer" not in figure
    assert {n for n in files if n.startswith("fig-forward") and n.endswith(".csv")} == {
        "fig-forward-bidirectional-f.csv",
        "fig-forward-bidirectional-p.csv",
    }


def test_eighty_schemes_are_cut_to_nine(tmp_path: Path) -> None:
    made = [r for r in many(40) if not r.point.shape.causal and r.point.pass_ == "forward"]
    paper = Paper(groups(latest(made)), header(), venues()["article"], False)
    assert len(paper.figures[0].series) == 9
    assert {"dense", "flash"} <= {s.label for s in paper.figures[0].series}


@pytest.mark.parametrize("venue", sorted(venues()))
def test_no_two_texts_of_a_figure_meet_as_matplotlib_sets_them(venue: str) -> None:
    pytest.importorskip("matplotlib")
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    paper = Paper(groups(latest(MADE)), header(), venues()[venue], False)
    found = paper.figures[0]
    figure = painted(found.whole, paper.by_number)
    figure.set_dpi(72.27)
    texts, renderer = figure.axes[0].texts, FigureCanvasAgg(figure).get_renderer()
    boxes = [t.get_window_extent(renderer) for t in texts]
    assert all(b.x0 >= -1 and b.x1 <= venues()[venue]["text_pt"] + 1 for b in boxes)
    for k, a in enumerate(boxes):
        for b, other in zip(boxes[k + 1 :], texts[k + 1 :], strict=True):
            across, down = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
            assert across <= 0.5 or down <= 1.0, (venue, texts[k].get_text(), other.get_text())
    assert any(t.role is Lettering.HEAD for t in found.whole.texts)


def test_an_anonymous_paper_says_nothing_of_its_authors(tmp_path: Path) -> None:
    made = [r for r in MADE if r.point.pass_ == "train"]
    failed = [r for r in made if r.status == "failed"]
    assert failed
    told = {"measured": "RuntimeError in /home/jane/secret/thing.py by jane@lab.example on GPU-1234abcd-99"}
    made = [replace(r, reasons=told) if r.status == "failed" else r for r in made]
    write_paper(tmp_path, made, header(), "article", anonymous=True)
    for path in tmp_path.iterdir():
        content = path.read_bytes()
        for private in (b"jane", b"secret", b"lab-17", b"GPU-1234", b"attnprof sweep --lengths"):
            assert private not in content, (path.name, private)


def test_an_unknown_venue_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(AttnprofError, match="venue") as caught:
        write_paper(tmp_path, MADE, header(), "icm")
    assert "icml" in caught.value.hint


def test_a_run_without_costs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AttnprofError, match="no cost record"):
        write_paper(tmp_path, [], header())


@needs_latex
@pytest.mark.parametrize("venue", ["article", "acl"])
def test_the_paper_compiles_without_overfull_boxes_or_bitmap_fonts(venue: str, tmp_path: Path) -> None:
    folder = tmp_path / "paper"
    write_paper(folder, MADE, header(), venue)
    for program in ("pdflatex", "bibtex", "pdflatex", "pdflatex"):
        options = ("-halt-on-error", "-interaction=nonstopmode") if program == "pdflatex" else ()
        done = subprocess.run([program, *options, "main"], cwd=folder, capture_output=True, text=True, errors="replace")
        assert done.returncode == 0, done.stdout[-2000:]
    log = (folder / "main.log").read_text(errors="replace")
    assert "undefined" not in log.lower().replace("undefined on input", "undefined")
    assert "Overfull \\hbox" not in log
    if shutil.which("pdffonts"):
        for pdf in (folder / "main.pdf", folder / "fig-forward-bidirectional.pdf"):
            fonts = subprocess.run(["pdffonts", pdf], capture_output=True, text=True, check=True).stdout
            assert "Type 3" not in fonts, pdf.name
