import csv
import io
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from attnprof.errors import AttnprofError
from attnprof.render import write_paper
from attnprof.render.paper import venues
from tests.fakes.records import SCHEMES, header, records

SMALL = (SCHEMES[0], SCHEMES[1], SCHEMES[3], SCHEMES[7])
MADE = [r for r in records(SMALL) if not r.point.shape.causal]
needs_latex = pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("paper")
    write_paper(folder, MADE, header(), "icml")
    return folder


def test_the_same_records_give_the_same_bytes(paper: Path, tmp_path: Path) -> None:
    written = write_paper(tmp_path, MADE, header(), "icml")
    assert len(written) == len(list(paper.iterdir()))
    for path in written:
        assert path.read_bytes() == (paper / path.name).read_bytes(), path.name


def test_a_csv_lies_beside_every_figure(paper: Path) -> None:
    figures = {p.stem for p in paper.glob("fig-*.tex")}
    assert len(figures) == 7
    assert {p.stem for p in paper.glob("fig-*.csv")} == figures


def test_a_csv_holds_every_point_with_a_value_or_a_reason(paper: Path) -> None:
    rows = list(csv.DictReader(io.StringIO((paper / "fig-train-bidirectional-wall-s.csv").read_text())))
    assert len(rows) == len(SMALL) * 7
    for row in rows:
        assert bool(row["wall_s"]) != bool(row["reason"])
        assert row["wall_s"] == "" or float(row["wall_s_low"]) <= float(row["wall_s"]) <= float(row["wall_s_high"])


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


def test_missing_values_of_a_table_are_named_by_their_status(paper: Path) -> None:
    table = (paper / "tab-forward-bidirectional.tex").read_text()
    dense = next(line for line in table.splitlines() if line.startswith("dense"))
    assert "OOM predicted" in dense


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


def test_a_panel_fits_the_column_of_every_venue() -> None:
    for name, venue in venues().items():
        assert venue["column_pt"] * venue["columns"] <= venue["text_pt"], name


@needs_latex
def test_the_paper_compiles_without_bitmap_fonts(paper: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(paper, tmp_path / "paper")
    for program in (
        ("pdflatex", "-halt-on-error", "-interaction=nonstopmode"),
        ("bibtex",),
        ("pdflatex",),
        ("pdflatex",),
    ):
        interaction = ("-interaction=nonstopmode",) if program == ("pdflatex",) else ()
        done = subprocess.run(
            [*program, *interaction, "main"], cwd=folder, capture_output=True, text=True, errors="replace"
        )
        assert done.returncode == 0, done.stdout[-2000:]
    log = (folder / "main.log").read_text(errors="replace")
    assert "undefined" not in log.lower().replace("undefined on input", "undefined")
    assert "Overfull \\hbox" not in log
    if shutil.which("pdffonts"):
        for pdf in (folder / "main.pdf", *folder.glob("fig-*wall-s.pdf")):
            fonts = subprocess.run(["pdffonts", pdf], capture_output=True, text=True, check=True).stdout
            assert "Type 3" not in fonts, pdf.name
