"""What CONTRIBUTING promises of adding: so many files, and it is listed, counted, swept, graphed, drawn.

Toys are put into a copy of the house, each as the files that are promised and at most one line of a tuple.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from attnprof.locate import PACKAGE, shipped

FILES = {
    "patterns/toy_pattern.py": """
from attnprof.pattern import Band, Card, Expr, Param

CARD = Card(title="Toy", bib="", survey_class="fixed pattern", complexity="O(n)", causality=(True,), rule="a toy")
PARAMS = {"window": Param(4, "4: a toy", most="n")}
EXAMPLES = ({"window": 3},)


def pattern(n: int, *, window: int) -> Expr:
    return Band(window - 1, 0)
""",
    "patterns/toy_maths.py": """
from attnprof.pattern import Card, Dense, Expr

CARD = Card(title="Toy", bib="", survey_class="dense", complexity="O(n^2)", growth=2, causality=(False,), rule="all",
            maths="own")


def pattern(n: int) -> Expr:
    return Dense()
""",
    "attnprof/schemes/toy_maths.py": """
from torch import Tensor, nn

from attnprof.contracts import Spec


class Core(nn.Module):
    def __init__(self, spec: Spec) -> None:
        super().__init__()

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return (q @ k.transpose(-1, -2)) @ v

    def reference(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return q @ (k.transpose(-1, -2) @ v)


def flops_core(spec: Spec) -> int:
    return 4 * spec.shape.batch * spec.shape.heads * spec.shape.n**2 * spec.shape.d
""",
    "attnprof/impl/toy_impl.py": """
from attnprof.contracts import Implementation, SchemeFacts, Spec
from attnprof.shapes import Shape
from attnprof.words import DeviceName


class Toy(Implementation):
    name = "toy_impl"

    def can(self, scheme: SchemeFacts, shape: Shape, device: DeviceName) -> str | None:
        return None if scheme.maths == "dense" else "it computes dense attention"

    def build(self, spec: Spec):
        from attnprof.schemes.dense import Core

        return Core(spec)


IMPLEMENTATION = Toy()
""",
    "attnprof/graph/metrics/toy_metric.py": """
from attnprof.graph.subject import Facts, Subject


def toy_metric(subject: Subject) -> Facts:
    return Facts({"toy_number": subject.n})
""",
    "attnprof/render/toy_export.py": """
def toy_export(paper):
    yield "toy.txt", f"{len(paper.groups)} groups"
""",
    "reports/templates/sections/toy.html.j2": '<section id="toy"><h2>Toy</h2>{{ count(total) }} in all</section>\n',
    "attnprof/cli/toy.py": '''
import click


@click.command()
def command() -> None:
    """A toy."""
    click.echo("played")
''',
}
LINES = {
    "attnprof/graph/metrics/__init__.py": (
        "METRICS: tuple[GraphMetric, ...] = (",
        'GraphMetric("toy", __import__("attnprof.graph.metrics.toy_metric", fromlist=["toy_metric"]).toy_metric),',
    ),
    "attnprof/render/paper.py": (
        "EXPORTERS: tuple[Callable[[Paper], Files], ...] = (",
        '__import__("attnprof.render.toy_export", fromlist=["toy_export"]).toy_export,',
    ),
    "attnprof/render/sections.py": ("SECTIONS: tuple[Section, ...] = (", 'Section("toy", "Toy"),'),
    "attnprof/cli/main.py": ("COMMANDS: tuple[Command, ...] = (", 'Command("toy", "A toy."),'),
    "attnprof/plan/counters.py": (
        "COUNTERS: tuple[OtherCounter, ...] = (",
        'OtherCounter("toy counter", "torch", lambda module, inputs: 7),',
    ),
    "attnprof/quantities.py": (
        "QUANTITIES: tuple[Quantity, ...] = (",
        'Quantity("toy_ops", Unit.OPS, "Toys", "toys", column="toys", derived=lambda cost: 7),',
    ),
}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the house with the toys in it."""
    folder = tmp_path_factory.mktemp("house")
    ignored = shutil.ignore_patterns("__pycache__", "reference")
    for source, name in ((PACKAGE, "attnprof"), (shipped("patterns"), "patterns"), (shipped("reports"), "reports")):
        shutil.copytree(source, folder / name, ignore=ignored)
    for name, text in FILES.items():
        (folder / name).write_text(text)
    for name, (opening, line) in LINES.items():
        text = (folder / name).read_text()
        assert opening in text, f"{name} has no {opening}"
        (folder / name).write_text(text.replace(opening, f"{opening}\n    {line}", 1))
    return folder


def attnprof(house: Path, *arguments: object) -> str:
    """What a command of that house prints."""
    command = (sys.executable, "-m", "attnprof", *map(str, arguments))
    env = {**os.environ, "PYTHONPATH": str(house), "ATTNPROF_CACHE": str(house / "cache")}
    done = subprocess.run(command, env=env, cwd=house, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def said(house: Path, *arguments: object) -> Any:
    return json.loads(attnprof(house, *arguments, "--json"))


@pytest.fixture(scope="module")
def run(house: Path) -> Path:
    """A sweep of the toys, counted alone."""
    attnprof(
        house, "sweep", "toy_pattern", "toy_maths", "--lengths", "64,128", "--device", "none", "--out", house / "run"
    )
    return house / "run"


def test_patterns_and_schemes_are_listed(house: Path) -> None:
    listed = {it["name"]: it for it in said(house, "list")["schemes"]}
    assert {"toy_pattern", "toy_maths"} <= listed.keys()
    assert listed["toy_pattern"]["implementations"][:1] == ["gather"]
    assert listed["toy_maths"]["implementations"][:1] == ["eager"]
    assert "toy_impl" in listed["dense"]["implementations"]


def test_a_pattern_is_graphed_and_a_metric_is_told(house: Path) -> None:
    facts = said(house, "graph", "toy_pattern", "--n", 64, "--no-page", "--out", house / "graph")
    assert (facts["edges"], facts["toy_number"]) == (64 * 4 - 6, 64)


def test_schemes_implementations_and_quantities_are_counted(house: Path) -> None:
    asked = ("--lengths", "64", "--pass", "forward", "--no-forms", "--level", "core")
    row = said(house, "cost", "toy_maths", *asked)["table"][0]
    assert (row["flops_core_executed"], row["toy_ops"]) == (4 * 64 * 64 * 512, 7)
    assert said(house, "cost", "dense", "--impl", "toy_impl", *asked)["table"][0]["impl"] == "toy_impl"


def test_a_counter_is_asked(house: Path) -> None:
    rows = said(house, "audit", "dense", "-n", 64)["rows"]
    assert [row["forward"] for row in rows if row["counter"] == "toy counter"] == [7]


def test_a_sweep_has_them_and_its_page_the_section(run: Path) -> None:
    records = [json.loads(line) for file in run.glob("records-*.jsonl") for line in file.read_text().splitlines()]
    assert {record["point"]["target"] for record in records} >= {"toy_pattern", "toy_maths"}
    page = (run / "report.html").read_text()
    assert '<a href="#toy">Toy</a>' in page
    assert '<section id="toy">' in page


def test_an_exporter_writes_its_file(house: Path, run: Path) -> None:
    attnprof(house, "report", run, "--paper", house / "paper")
    assert (house / "paper" / "toy.txt").read_text().endswith("groups")


def test_a_command_is_offered_and_runs(house: Path) -> None:
    assert "A toy." in attnprof(house, "--help")
    assert attnprof(house, "toy") == "played\n"
