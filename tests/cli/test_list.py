"""`attnprof list`: what it shows, what it lets through, and that it stays light."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from attnprof.cli import listing
from attnprof.targets import catalog
from tests.cli.console import ENV, attnprof, command

HEAVY = ("torch", "numpy", "scipy", "networkx", "plotly", "sympy", "jinja2")


def listed(*options: str) -> dict[str, dict[str, object]]:
    run = attnprof("list", "--json", *options)
    assert run.code == 0, run.err
    return {scheme["name"]: scheme for scheme in run.data["schemes"]}


def test_every_scheme_is_listed_with_its_facts() -> None:
    schemes = listed()
    assert set(schemes) == set(catalog.names())
    longformer = schemes["longformer"]
    assert longformer["paper"] == "Beltagy 2020"
    assert longformer["class"] == "fixed pattern + memory"
    assert longformer["complexity"] == "O(n (k + m))"
    assert longformer["causality"] == [False, True]
    assert longformer["own_maths"] is True
    assert schemes["sinks"]["implementations"][:3] == ["gather", "masked", "flex"]
    assert schemes["flash"]["implementations"][0] == "sdpa"


def test_piped_it_is_tab_separated_text_with_a_header() -> None:
    run = attnprof("list")
    header, *rows = [line.split("\t") for line in run.out.splitlines()]
    assert header == ["name", "class", "paper", "complexity", "causal", "decode", "data", "run by", "oracle"]
    assert [row[0] for row in rows] == list(catalog.names())
    assert all(len(row) == len(header) for row in rows)
    assert "\x1b" not in run.out
    assert run.err == ""


@pytest.mark.parametrize("width", [80, 120, 200])
def test_complexity_is_told_whole_however_narrow_the_terminal(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    kept = {name: catalog.card(name) for name in ("clustered", "reformer", "bigbird", "compressive", "routing")}
    listing.print_table(kept)
    seen = capsys.readouterr().out
    assert all(len(line.rstrip()) <= width for line in seen.splitlines())
    for card in kept.values():
        for word in listing.complexity(card).split():
            assert word in seen, (card.title, word)


def test_our_complexity_stands_after_the_surveys() -> None:
    rows = {line.split("\t")[0]: line.split("\t")[3] for line in attnprof("list").out.splitlines()}
    assert rows["entmax"].startswith("O(n^2) → O(n^2 d)")
    assert rows["sinks"] == "O(n w)"


@pytest.mark.parametrize(
    ("options", "has", "lacks"),
    [
        (["--class", "kernel"], "performer", "longformer"),
        (["--causal"], "retnet", "bigbird"),
        (["--no-causal"], "bigbird", "retnet"),
        (["--decode"], "dense", "bigbird"),
        (["--data-dependent"], "moba", "dense"),
        (["--static"], "dense", "moba"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_filters(options: list[str], has: str, lacks: str) -> None:
    names = listed(*options)
    assert has in names
    assert lacks not in names


def test_executed_and_graph_only_share_out_the_catalogue() -> None:
    executed, graph_only = listed("--executed"), listed("--graph-only")
    assert not set(executed) & set(graph_only)
    assert set(executed) | set(graph_only) == set(catalog.names())
    assert not graph_only, "the maths of every entry is written"
    assert all(scheme["graph_only"] for scheme in graph_only.values())


def test_an_unknown_class_names_the_closest() -> None:
    run = attnprof("list", "--class", "kernl")
    assert run.code == 1
    assert "unknown class 'kernl'" in run.err
    assert "did you mean kernel" in run.err
    assert run.out == ""


def test_an_unknown_option_is_a_usage_error() -> None:
    assert attnprof("list", "--colour").code == 2


@pytest.mark.parametrize("name", catalog.names())
def test_a_card_read_as_text_is_the_card_of_the_file(name: str) -> None:
    assert catalog.card(name) == catalog.entry(name).card


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["list"], ["list", "--json"], ["list", "--help"]])
def test_light_commands_load_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys, contextlib, io\n"
        "from attnprof.cli.main import cli\n"
        "with contextlib.redirect_stdout(io.StringIO()):\n"
        f"    cli.main({arguments!r}, prog_name='attnprof', standalone_mode=False)\n"
        f"print(*sorted({set(HEAVY)!r} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout.split() == []


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = f"import sys, attnprof\nprint(*sorted({set(HEAVY)!r} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout.split() == []


STREAMS = {
    "a closed standard output": ("exec >&-; exec {}", {}),
    "both closed": ("exec >&- 2>&-; exec {}", {}),
    "no UTF-8": ("exec {}", {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}),
    "no home": ("unset HOME; exec {}", {}),
    "a reader that goes": ("{} | true", {}),
}


@pytest.mark.parametrize(("line", "settings"), STREAMS.values(), ids=STREAMS)
def test_any_stream_will_do(line: str, settings: dict[str, str]) -> None:
    text = line.format(shlex.join(command("list")))
    done = subprocess.run(["bash", "-c", text], env={**ENV, **settings}, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


def test_a_path_that_is_no_text_is_one_clear_message(tmp_path: Path) -> None:
    done = subprocess.run(
        [*command("report"), b"/nowhere/\xff[b]"], env=ENV, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert "\\udcff[b] is not a run" in done.stderr
