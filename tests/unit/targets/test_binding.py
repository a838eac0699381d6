"""What is recorded of a user's code: only what binds to it or was seen; and built modules, factories, names."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

import attnprof
from attnprof.counting.counted import count
from attnprof.errors import AttnprofError
from attnprof.records import Point
from attnprof.shapes import Shape
from attnprof.sweeps.points import SweepRequest, plan
from attnprof.targets import door
from attnprof.targets.usage import Usage
from attnprof.usercode import UserCode, fitted
from attnprof.words import Pass

FAKES = Path(__file__).parents[2] / "fakes"
OWN = FAKES / "user_code.py"
N, D = 64, 64
SHAPE = Shape(N, dim=D, heads=4)
PLAIN = 8 * N * D**2 + 4 * N**2 * D  # four projections, and the two products of scores
WEIGHTS = 4 * D**2 * 4  # bytes


def found(name: str, **arguments: Any) -> UserCode:
    target = door.find(f"{OWN}:{name}", usage=Usage(arguments=arguments))
    assert isinstance(target, UserCode)
    return target


@pytest.mark.parametrize("name", ["built", "make", "Plain"])
def test_an_object_a_factory_and_a_class_are_one_module(name: str) -> None:
    forward, train = (count(found(name), SHAPE, pass_).cost for pass_ in (Pass.FORWARD, Pass.TRAIN))
    assert (forward.flops_executed, train.flops_executed) == (PLAIN, 3 * PLAIN)
    assert forward.param_bytes == train.param_bytes == train.param_grad_bytes == WEIGHTS


def test_a_built_module_is_left_as_it_was() -> None:
    target: Any = found("built")
    before = {name: (p.data_ptr(), p.dtype) for name, p in target.code.named_parameters()}
    training = target.code.training
    count(target, SHAPE.replace(dtype="float64"), Pass.TRAIN)
    assert {name: (p.data_ptr(), p.dtype) for name, p in target.code.named_parameters()} == before
    assert all(p.grad is None for p in target.code.parameters())
    assert target.code.training is training


def test_tied_parameters_of_a_built_module_are_counted_once() -> None:
    assert count(found("tied"), SHAPE, Pass.FORWARD).cost.param_bytes == WEIGHTS


TARGETS = (
    "dense",
    "longformer",
    "linear",
    f"{OWN}:built",
    f"{OWN}:make",
    f"{OWN}:Plain",
    f"{OWN}:Item",
    f"{OWN}:attend",
)


@pytest.mark.parametrize(("text", "batch"), itertools.product(TARGETS, (1, 2)))
def test_what_waits_for_backward_is_part_of_the_peak(text: str, batch: int) -> None:
    cost = count(door.find(text), SHAPE.replace(batch=batch), Pass.TRAIN).cost
    assert cost.saved_bytes is not None
    assert cost.peak_bytes is not None
    assert 0 < cost.saved_bytes <= cost.peak_bytes


def test_arguments_come_too_late_for_a_built_module() -> None:
    with pytest.raises(AttnprofError, match="built already"):
        found("built", dim=32)


@pytest.mark.parametrize(
    ("name", "unknown"),
    [
        ("Plain", ("level", "causal", "kv_heads", "head_dim", "v_head_dim")),
        ("built", ("level", "causal", "kv_heads", "head_dim", "v_head_dim")),
        ("attend", ("level", "causal")),
        ("attend_causally", ("level",)),
    ],
)
def test_labels_that_bind_to_nothing_are_unknown(name: str, unknown: tuple[str, ...]) -> None:
    assert found(name).unknown(SHAPE) == unknown


def test_an_argument_that_is_given_takes_the_place_of_a_flag() -> None:
    target = found("Plain", heads=2)
    assert fitted(target, SHAPE).heads == 2
    with pytest.raises(AttnprofError, match="has heads = 2, and heads = 4 is asked for"):
        fitted(target, SHAPE, ("heads",))


@pytest.mark.parametrize("size", [{"causal": True}, {"kv_heads": 2}, {"level": "core"}, {"depth": 2}, {"m": 32}])
def test_a_size_that_binds_to_nothing_is_refused_in_python(size: dict[str, Any]) -> None:
    (name,) = size
    with pytest.raises(AttnprofError, match=f"{name} binds to nothing in .*user_code.py:Plain") as caught:
        attnprof.count(f"{OWN}:Plain", N, dim=D, heads=4, **size)
    assert "its constructor takes (dim, heads)" in caught.value.hint


def test_a_size_that_binds_is_taken() -> None:
    counted = attnprof.count(f"{OWN}:attend_causally", N, dim=D, heads=4, causal=True, level="core")
    assert "causal_seen" in counted.flags
    assert attnprof.count(attnprof.target(f"{OWN}:Plain", heads=2), N, dim=D).cost.exp_ops == 2 * N**2


def test_what_is_asked_of_a_check_is_a_question_not_a_label() -> None:
    attnprof.check(f"{OWN}:Causal", N, dim=D, heads=4, causal=True)
    with pytest.raises(AttnprofError, match="pairs read the future"):
        attnprof.check(f"{OWN}:Plain", N, dim=D, heads=4, causal=True)


def points(*texts: str, explicit: tuple[str, ...] = (), **changes: Any) -> list[Point]:
    ask = SweepRequest(lengths=(N,), targets=texts, shape=SHAPE.replace(kv_heads=2), **changes)
    return [planned.point for job in plan(ask, explicit) for planned in job.points]


def test_a_record_says_null_where_nothing_is_known() -> None:
    data = points(f"{OWN}:Plain")[0].to_json()
    assert {name: data[name] for name in ("level", "causal", "kv_heads", "head_dim", "v_head_dim")} == dict.fromkeys(
        ("level", "causal", "kv_heads", "head_dim", "v_head_dim")
    )
    assert (data["heads"], data["dim"], data["source"]) == (4, D, f"{OWN}:Plain")
    assert Point.from_json(data).to_json() == data


def test_flags_that_bind_elsewhere_are_unknown_of_the_rest() -> None:
    ours, *_, theirs = points("dense", f"{OWN}:Plain", explicit=("causal", "kv_heads"), causal=True)
    assert (ours.label("causal"), ours.label("kv_heads")) == (True, 2)
    assert (theirs.label("causal"), theirs.label("kv_heads")) == (None, None)
    assert theirs.shape.causal is False


def test_flags_that_bind_nowhere_are_refused_before_anything_runs() -> None:
    with pytest.raises(AttnprofError, match="--causal binds to nothing"):
        points(f"{OWN}:Plain", f"{OWN}:Item", explicit=("causal",), causal=True)


def test_two_classes_of_one_name_stay_two(tmp_path: Path) -> None:
    text = OWN.read_text()
    texts = []
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "own.py").write_text(text)
        texts.append(f"{tmp_path / folder / 'own.py'}:Plain")
    found = points(*texts)
    assert {(p.target, p.source) for p in found} == {("one/own.py:Plain", texts[0]), ("two/own.py:Plain", texts[1])}


def test_a_pattern_file_is_not_the_scheme_of_its_name(tmp_path: Path) -> None:
    own = tmp_path / "dense.py"
    own.write_text("from attnprof.pattern import Band\n\n\ndef pattern(n):\n    return Band(2, 2)\n")
    assert {p.target for p in points("dense", str(own))} == {"dense", "dense.py"}


def test_a_graph_is_labelled_by_what_its_edges_show() -> None:
    from attnprof.graph.analysis import Request, analyze
    from attnprof.graph.record import graph_record

    text = f"{OWN}:Causal"
    data = graph_record(analyze(found("Causal"), Request(n=16, trials=1, side=0)), text).point.to_json()
    assert (data["causal"], data["level"], data["head_dim"], data["source"]) == (True, None, None, text)
