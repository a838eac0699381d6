"""Every flag that the house raises has a phrase, a meaning, and what it casts doubt on; old names still read."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from attnprof.flags import FLAGS, RENAMED, Doubt, doubt, phrase, phrases
from attnprof.locate import PACKAGE
from attnprof.quantities import ENERGY, FLOPS, PEAK, WALL
from attnprof.records import Record
from attnprof.render.claims.evidence import bearing
from tests.fakes.records import records

RAISERS = ("measure", "sweeps", "counting", "usercode.py")
BESIDE = {"counted", "fvcore", "second_opinion"}  # other words in functions that raise one
KEY = re.compile(r"[a-z]+(_[a-z]+)*")
HOLDERS = re.compile(r"flags?$|^(raised|holds|found|warned|said|COUNTED|REAL|DIFFERS|UNCOMPARED|DEPENDS|SPARSE)$")


def raised() -> Iterator[tuple[str, str]]:
    """Text constants that the raisers put among flags: where a docstring or a name says that it is about flags."""
    for room in RAISERS:
        place = PACKAGE / room
        for file in [place] if place.is_file() else sorted(place.rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, (ast.FunctionDef, ast.Assign)) and _about_flags(node):
                    for inner in _values(node):
                        yield file.name, inner


def _about_flags(node: ast.FunctionDef | ast.Assign) -> bool:
    if isinstance(node, ast.Assign):
        return any(HOLDERS.search(ast.unparse(t)) and ast.unparse(t).isupper() for t in node.targets)
    return "flag" in node.name or "flag" in (ast.get_docstring(node) or "").lower()


def _values(node: ast.AST) -> Iterator[str]:
    """Keys of dicts, members of tuples, and what is appended."""
    for inner in ast.walk(node):
        parts: list[ast.expr | None] = []
        if isinstance(inner, ast.Dict):
            parts = list(inner.keys)
        elif isinstance(inner, ast.Tuple):
            parts = list(inner.elts)
        elif isinstance(inner, ast.Call) and ast.unparse(inner.func).endswith("flags.append"):
            parts = list(inner.args)
        elif isinstance(inner, ast.Assign) and isinstance(inner.value, ast.Constant):
            parts = [inner.value]
        for part in parts:
            if isinstance(part, ast.Constant) and isinstance(part.value, str) and KEY.fullmatch(part.value):
                yield part.value


def test_every_flag_that_is_raised_has_a_meaning() -> None:
    found = [(file, flag) for file, flag in raised() if flag not in BESIDE]
    assert len({flag for _, flag in found}) > 20
    assert [(file, flag) for file, flag in found if flag not in FLAGS] == []


def test_phrases_are_one_each_and_short() -> None:
    told = [meaning.phrase for meaning in FLAGS.values()]
    assert len(set(told)) == len(told)
    assert all("_" not in p and len(p) <= 40 for p in told)
    assert all(meaning.text and not meaning.text.endswith(".") for meaning in FLAGS.values())


def test_a_record_of_an_earlier_version_reads_under_the_present_names() -> None:
    for old, new in RENAMED.items():
        assert old not in FLAGS
        data = {**records()[0].to_json(), "flags": [old, "noisy"]}
        assert Record.from_json(data).flags == (new, "noisy")


def test_a_flag_casts_doubt_on_what_it_is_about_alone() -> None:
    flags = ("busy_machine", "energy_short", "workspace_unknown", "second_opinion_differs", "clipped:window=64", "new")
    assert bearing(flags, WALL) == ("busy_machine", "new")
    assert bearing(flags, ENERGY) == ("busy_machine", "energy_short", "new")
    assert bearing(flags, PEAK) == ("workspace_unknown",)
    assert bearing(flags, FLOPS) == ()
    assert doubt("clipped:window=64") is Doubt.NONE


def test_what_a_flag_says_beside_its_name_is_told() -> None:
    assert phrase("clipped:window=64") == "window clipped to 64"
    assert phrase("impl:flex cannot compute it, gather does") == "flex cannot compute it, gather does"
    assert phrases(("few_rounds", "noisy", "cold"), 1) == "few rounds and 2 more"
