"""What a pattern file may define: a slip in a name is an error that names the nearest, a plain file works as it is."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from attnprof.errors import AttnprofError
from attnprof.pattern.definition import OFFERED, Parts
from attnprof.shapes import Shape
from attnprof.targets import catalog, door
from attnprof.targets.scheme import CatalogTarget

PLAIN = """from attnprof.pattern import Band

def pattern(n, *, window=512, dilation: int | str = 1, causal=False):
    return Band(min(window, n) - 1)
"""
STATED = """from attnprof.pattern import Band, Param

PARAMS = {"window": Param(512, "ours", least=1, most="n")}
EXAMPLES = ({"window": 8},)

def pattern(n, *, window, causal):
    return Band(window - 1)

def edges(n, *, window, causal):
    return n * window - window * (window - 1) // 2
"""


def made(folder: Path, text: str, **params: int | str) -> CatalogTarget:
    """A user's pattern file as a target."""
    path = folder / "mine.py"
    path.write_text(text)
    catalog.load.cache_clear()
    target = door.find(str(path), params=params)
    assert isinstance(target, CatalogTarget)
    return target


def test_the_parts_are_those_that_something_is_offered_to() -> None:
    assert {part.name for part in fields(Parts)} == set(OFFERED) - {"pattern"}


def test_a_plain_file_has_the_parameters_of_its_signature(tmp_path: Path) -> None:
    target = made(tmp_path, PLAIN, window=4, dilation="1,2")
    assert target.entry.defaults == {"window": 512, "dilation": 1}
    assert target.resolve(100) == {"window": 4, "dilation": "1,2"}
    assert target.graph(Shape(100)).edges() == 100 * 4 - 6
    with pytest.raises(AttnprofError, match=r"(?s)unknown parameter of mine 'windw'.*did you mean window"):
        made(tmp_path, PLAIN, windw=4)


def test_a_stated_parameter_is_clipped_checked_and_shown_to_every_part(tmp_path: Path) -> None:
    target = made(tmp_path, STATED)
    assert target.resolve(8) == {"window": 8}
    assert target.edges(Shape(8)) == target.graph(Shape(8)).edges() == 36
    assert target.entry.examples == ({"window": 8},)
    with pytest.raises(AttnprofError, match=r"mine.window is 0, but it is at least 1"):
        made(tmp_path, STATED, window=0)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("def edge(n): return n", "defines 'edge'.*did you mean edges"),
        ("def flop_paper(n, *, dim): return n", "defines 'flop_paper'.*did you mean flops_paper"),
        ("class Pairs: ...\ndef resolves(n): return {}", "defines 'resolves'.*did you mean resolve"),
        ("PARAM = {}", "defines 'PARAM'.*did you mean PARAMS"),
        ("EXAMPLE = ()", "defines 'EXAMPLE'.*did you mean EXAMPLES"),
        ("def pairs(n, *, windw): return n", "pairs of .* asks for an unknown parameter 'windw'.*did you mean window"),
        ("def layers(*, head): return 1", "layers of .* asks for an unknown parameter 'head'"),
        ("EXAMPLES = ({'windw': 8},)", "unknown parameter in EXAMPLES of mine 'windw'.*did you mean window"),
        ("EXAMPLES = ({'window': 0},)", "mine.window is 0, but it is at least 1"),
        ("PARAMS = {'window': 512}", "has window = 512, no Param"),
    ],
)
def test_a_slip_is_told_with_what_was_meant(tmp_path: Path, more: str, told: str) -> None:
    with pytest.raises(AttnprofError, match=f"(?s){told}"):
        made(tmp_path, f"{STATED}\n{more}\n")


@pytest.mark.parametrize(
    "more",
    [
        "def width_of(n): return n",
        "def _edge(n): return n",
        "def level(n): return n",
        "class Sample: ...",
        "from math import isqrt as edge",
        "LIMIT = 8",
        "edge = 8",
    ],
)
def test_a_helper_is_nobodys_business(tmp_path: Path, more: str) -> None:
    assert made(tmp_path, f"{STATED}\n{more}\n").resolve(8) == {"window": 8}


def test_parts_may_come_from_another_file(tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text(STATED)
    assert made(tmp_path, "from beside import PARAMS, edges, pattern\n").edges(Shape(8)) == 36


def functions() -> Iterator[tuple[str, ast.FunctionDef | ast.ClassDef]]:
    """What the files of the catalogue define."""
    for name in catalog.names():
        for node in ast.parse(catalog.entry(name).path.read_text(encoding="utf-8")).body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                yield name, node


def test_every_public_function_of_the_catalogue_is_a_part() -> None:
    strange = [
        f"{name}.{it.name}" for name, it in functions() if it.name not in OFFERED and not it.name.startswith("_")
    ]
    assert strange == []


def test_no_part_of_the_catalogue_states_a_default_again() -> None:
    parts = [(name, it) for name, it in functions() if isinstance(it, ast.FunctionDef) and it.name in OFFERED]
    assert [f"{name}.{it.name}" for name, it in parts if it.args.defaults or any(it.args.kw_defaults)] == []
