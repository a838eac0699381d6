"""Closed words: parsed where they enter, refused with the nearest valid ones, and never compared as bare text."""

from __future__ import annotations

import ast
import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import attnprof
from attnprof import words
from attnprof.comparison import compare_runs
from attnprof.errors import AttnprofError
from attnprof.locate import PACKAGE
from attnprof.pattern import Card
from attnprof.records import Point, Record
from attnprof.shapes import Shape
from attnprof.store import RunFolder
from attnprof.words import DType, Level, Pass, Status, Word
from tests.cli.console import attnprof as command

CARD = Card(title="", bib="", survey_class="", complexity="", causality=(True,), rule="")

KINDS = [
    kind for kind in vars(words).values() if isinstance(kind, type) and issubclass(kind, Word) and kind is not Word
]
# Text that is a closed word elsewhere, but here a parameter of a scheme, or how sure a reach is.
OTHER_MEANINGS = {
    ("models/readers/state_families.py", "attention"),  # words of configs
    ("models/readers/state_families.py", "auto"),
    ("schemes/linformer.py", "none"),
}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_word_is_its_own_text_and_an_unknown_one_names_the_nearest(kind: type[Word]) -> None:
    for word in kind:
        assert kind(word.value) is word
        assert word == word.value == str(word)
        assert json.loads(json.dumps(word)) == word.value
        with pytest.raises(AttnprofError, match=f"unknown {kind.noun()}") as refused:
            kind(word.value + "s")
        assert word.value in refused.value.hint
    with pytest.raises(AttnprofError, match="known: "):
        kind("§")


def test_several_words_are_kept_once_and_in_order() -> None:
    assert Pass.several("train, forward,train") == (Pass.TRAIN, Pass.FORWARD)
    with pytest.raises(AttnprofError, match="no pass is named"):
        Pass.several(" , ")
    with pytest.raises(AttnprofError, match="did you mean forward"):
        Pass.several("train,forwards")


def test_what_the_review_saw_is_refused_and_the_right_value_stays() -> None:
    # dense, n = 128, D = 512: four projections 4 * 2 n D^2, core 4 n^2 D; training is three forwards.
    forward = 8 * 128 * 512**2 + 4 * 128**2 * 512
    assert attnprof.count("dense", n=128).cost.flops_executed == forward == 301_989_888
    assert attnprof.count("dense", n=128, pass_="train").cost.flops_executed == 3 * forward == 905_969_664


DOORS: dict[str, tuple[Callable[[], Any], str]] = {
    "count pass": (lambda: attnprof.count("dense", n=64, pass_="training"), "train"),
    "count pass backward": (lambda: attnprof.count("dense", n=64, pass_="backward"), "train"),
    "count level": (lambda: attnprof.count("dense", n=64, level="blocks"), "block"),
    "count level case": (lambda: attnprof.count("dense", n=64, level="Core"), "core"),
    "count dtype": (lambda: attnprof.count("dense", n=64, dtype="float8"), "float16"),
    "count size": (lambda: attnprof.count("dense", n=64, head=2), "heads"),
    "count causal": (lambda: attnprof.count("dense", n=64, causal="no"), "left out|leave it out"),
    "count n": (lambda: attnprof.count("dense", n=64.0), "n = 8"),  # type: ignore[arg-type]
    "cost.count pass": (lambda: attnprof.counting.count(attnprof.target("dense"), Shape(n=64), "trained"), "train"),  # type: ignore[arg-type]
    "profile pass": (lambda: attnprof.profile("dense", n=64, pass_="training"), "train"),
    "profile level": (lambda: attnprof.profile("dense", n=64, level="blocks"), "block"),
    "profile device": (lambda: attnprof.profile("dense", n=64, device="cpus"), "cpu"),
    "check level": (lambda: attnprof.check("dense", n=64, level="blocks"), "block"),
    "target impl": (lambda: attnprof.target("longformer", impl="gathr"), "gather"),
    "target runner": (lambda: attnprof.target("longformer", runner="gathr"), "gather"),
    "target word": (lambda: attnprof.target("performer", kernel="soft"), "softmax"),
    "analyze engine": (lambda: attnprof.analyze("dense", n=64, engine="closd"), "closed"),
    "analyze option": (lambda: attnprof.analyze("dense", n=64, layer=3), "layers"),
    "compare metric": (lambda: compare_runs([], [], "wall"), "wall_s"),  # type: ignore[arg-type]
    "shape level": (lambda: Shape(n=1, level="cor"), "core"),  # type: ignore[arg-type]
    "point impl": (lambda: Point("dense", Shape(n=1), impl="mask"), "masked"),
    "point pass": (lambda: Point("dense", Shape(n=1), "trian"), "train"),  # type: ignore[arg-type]
    "card maths": (lambda: dataclasses.replace(CARD, maths="onw"), "own"),
}  # fmt: skip


@pytest.mark.parametrize("door", DOORS)
def test_every_door_of_python_refuses_an_unknown_word(door: str) -> None:
    call, nearest = DOORS[door]
    with pytest.raises(AttnprofError) as refused:
        call()
    assert refused.value.hint
    assert any(word in refused.value.hint for word in nearest.split("|"))


@pytest.mark.parametrize(
    "line",
    [
        "sweep dense --lengths 64 --pass training",
        "sweep dense --lengths 64 --runner gathr",
        "sweep dense --lengths 64 --device cpus",
        "sweep dense --lengths 64 --preset by-lenght",
        "sweep dense --lengths 64 --on slrum",
        "sweep dense --lengths 64 --level blocks",
        "sweep dense --lengths 64 --dtype float8",
        "cost dense --lengths 64 --pass train,backward",
        "cost dense --lengths 64 --level blocks",
        "cost longformer --lengths 64 --impl dense",
        "cost longformer --lengths 64 --impl flex",
        "cost longformer --lengths 64 --runner dense",
        "limit dense --memory 1GB --pass decode",
        "limit dense --memory 1GB --pass training",
        "audit dense -n 64 --runner gathr",
        "graph dense --n 64 --engine closd",
        "compare a b --metric wall",
        "doctor --device none",
        "report . --paper out --venue iclm",
    ],
)
def test_every_door_of_the_command_line_refuses_an_unknown_word(line: str) -> None:
    refused = command(*line.split())
    assert refused.code == 1
    assert refused.err.startswith("error: ")
    assert "hint:" in refused.err


def test_a_record_of_an_unknown_word_is_one_clear_error(tmp_path: Path) -> None:
    record = Record("cost", "k", Point("dense", Shape(n=64)))  # type: ignore[arg-type]
    with RunFolder.create(tmp_path / "run", {}) as run:
        run.append(record)
    shard = next((tmp_path / "run").glob("records-*.jsonl"))
    for old, new in (('"pass":"forward"', '"pass":"training"'), ('"status":"ok"', '"status":"fine"')):
        text = shard.read_text()
        shard.write_text(text.replace(old, new))
        with pytest.raises(AttnprofError, match=r"line 1.*(pass|status) is '.*', not one of"):
            list(RunFolder.open(tmp_path / "run").records())
        shard.write_text(text)


def test_a_record_is_written_as_before() -> None:
    record = Record("cost", "k", Point("dense", Shape(n=64)), status=Status.OK)  # type: ignore[arg-type]
    point = record.to_json()["point"]
    assert (point["level"], point["pass"], point["dtype"], point["device"]) == (
        "attention",
        "forward",
        "float32",
        "cpu",
    )
    assert "machine" not in point
    again = Record.from_json(json.loads(json.dumps(record.to_json())))
    assert again == record
    assert again.point.shape.level is Level.ATTENTION
    assert dataclasses.replace(Shape(n=1), dtype="bfloat16").dtype is DType.BFLOAT16


def test_no_closed_word_is_compared_as_bare_text() -> None:
    closed = {word.value for kind in KINDS for word in kind}
    found = {
        (str(file.relative_to(PACKAGE)), text)
        for file in sorted(PACKAGE.rglob("*.py"))
        for text in compared(ast.parse(file.read_text()))
        if text in closed
    }
    assert found - OTHER_MEANINGS == set()
    assert {pair for pair in OTHER_MEANINGS if pair not in found} == set()


def compared(tree: ast.AST) -> Iterator[str]:
    """Texts that code compares something with."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and not any(isinstance(op, (ast.In, ast.NotIn)) for op in node.ops):
            for side in (node.left, *node.comparators):
                if isinstance(side, ast.Constant) and isinstance(side.value, str):
                    yield side.value
        if isinstance(node, ast.MatchValue) and isinstance(node.value, ast.Constant):
            yield str(node.value.value)
