from pathlib import Path
from xml.etree import ElementTree

import pytest

from attnprof.store import RunFolder
from tests.cli.console import attnprof
from tests.fakes.records import header, records

MADE = [r for r in records() if r.point.pass_ == "forward" and not r.point.shape.causal]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "one"
    with RunFolder.create(path, header()).lock() as made:
        for record in MADE:
            made.append(record)
    return path


def test_the_page_of_a_run_is_written_beside_its_records(run: Path) -> None:
    done = attnprof("report", run)
    assert done.code == 0, done.err
    assert done.out.strip() == str(run / "report.html")
    assert "next: attnprof report" in done.err
    html = (run / "report.html").read_text()
    assert "attnprof sweep --lengths 1k-64k" in html
    assert "data:image/png" in html


def test_a_second_report_is_the_same_to_the_byte(run: Path, tmp_path: Path) -> None:
    pages = [tmp_path / "a.html", tmp_path / "b.html"]
    for page in pages:
        assert attnprof("report", run, "--out", page).code == 0
    assert pages[0].read_bytes() == pages[1].read_bytes()


def test_json_names_the_files_and_static_pages_carry_no_plotly(run: Path, tmp_path: Path) -> None:
    done = attnprof("report", run, "--out", tmp_path / "s.html", "--static", "--json")
    assert done.data["files"] == [str(tmp_path / "s.html")]
    assert (tmp_path / "s.html").stat().st_size < 1_000_000


def test_two_runs_make_one_page(run: Path, tmp_path: Path) -> None:
    done = attnprof("report", run, run, "--out", tmp_path / "two.html", "--static")
    assert done.code == 0, done.err
    assert "Run 2" in (tmp_path / "two.html").read_text()


def test_the_files_of_a_paper(run: Path, tmp_path: Path) -> None:
    done = attnprof("report", run, "--paper", tmp_path / "paper", "--venue", "acl", "--anonymous", "--json")
    assert done.code == 0, done.err
    names = {Path(path).name for path in done.data["files"]}
    assert {"main.tex", "methods.tex", "appendix.tex", "references.bib", "points.csv"} <= names
    assert {"fig-forward-bidirectional.tex", "tab-forward-bidirectional.tex", "numbers.tex"} <= names
    assert "lab-17" not in (tmp_path / "paper" / "appendix.tex").read_text()


def test_what_the_page_says_first_is_said_in_the_terminal_too(run: Path, tmp_path: Path) -> None:
    done = attnprof("report", run, "--out", tmp_path / "page.html", "--static", "--json")
    claims = done.data["claims"]
    assert any("flash needs" in claim and "a layer" in claim for claim in claims)
    assert any("carry a flag" in claim for claim in claims)


def test_one_figure_is_one_file_that_needs_nothing_else(run: Path, tmp_path: Path) -> None:
    for name in ("choice", "layers", "time", "memory"):
        path = tmp_path / f"{name}.svg"
        done = attnprof("report", run, "--figure", name, "--out", path, "--at", "8k")
        assert done.code == 0, done.err
        tree = ElementTree.parse(path).getroot()
        assert tree.tag.endswith("svg")
        assert "href" not in path.read_text().replace("#scheme-", "")
        assert "flash" in "".join(tree.itertext())
        assert "Made by attnprof" in done.err


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (("/nowhere",), "/nowhere is not a run", "run folder"),
        (("RUN", "--paper", "p", "--venue", "icm"), "unknown venue 'icm'", "icml"),
        (("RUN", "--figure", "tme"), "unknown figure 'tme'", "time"),
        (("RUN", "--figure", "choice", "--pass", "decode"), "no such points", "forward"),
        (("RUN", "--paper", "p", "--at", "3k"), "nothing at n = 3k", "lengths"),
        (("RUN", "--paper", "p", "--panels", "tme"), "unknown panel 'tme'", "time"),
        (("RUN", "--out", "/proc/report.html"), "cannot write", "--out"),
    ],
    ids=["no run", "unknown venue", "unknown figure", "no such pass", "no such n", "unknown panel", "unwritable"],
)
def test_a_mistake_is_one_message_with_a_hint(
    run: Path, tmp_path: Path, arguments: tuple[str, ...], message: str, hint: str
) -> None:
    done = attnprof("report", *(run if a == "RUN" else a for a in arguments), cwd=tmp_path)
    assert done.code == 1
    assert message in done.err
    assert hint in done.err
    assert "Traceback" not in done.err


def test_models_are_told_from_runs_by_what_they_are(tmp_path: Path) -> None:
    page = tmp_path / "models.html"
    done = attnprof("report", "hf:gpt_oss_20b", "hf:gemma3_27b", "--lengths", "8k,128k", "--out", page, "--json")
    assert done.code == 0, done.err
    assert done.data["files"] == [str(page)]
    assert "gpt_oss_20b, prefill of n = 128k: 20.1 GFLOP a token, 64.2% of it attention" in done.data["claims"][0]
    assert "attnprof report hf:gpt_oss_20b hf:gemma3_27b --lengths 8k,128k" in page.read_text()
    assert "10 × (5 window 1024 + full), then 2 window 1024" in page.read_text()


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (("nosuch",), "nosuch is not a run (it is not there), nor a model or stack", "hf:gpt_oss_20b"),
        (("longformer",), "longformer is a scheme", 'a stack of it: "1 longformer"'),
        (("hf:gptoss",), "unknown model 'gptoss'", "gpt_oss"),
        ((".", "hf:gpt_oss_20b"), ". is a run and hf:gpt_oss_20b a model", "two commands"),
        (("hf:gpt_oss_20b", "--paper", "x"), "--paper says nothing of a model", "--help"),
        ((".", "--kv-dtype", "fp8"), "--kv-dtype says nothing of a run", "--help"),
        (("hf:gpt_oss_20b", "--memory", "much"), "much", "80GB"),
    ],
)
def test_what_is_neither_run_nor_model_is_one_error(arguments: tuple[str, ...], message: str, hint: str) -> None:
    done = attnprof("report", *arguments)
    assert done.code == 1, done.err
    assert message in done.err
    assert hint in done.err
    assert "Traceback" not in done.err
