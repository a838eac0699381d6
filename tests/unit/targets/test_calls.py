"""How code is made and called: by the names of its parameters, else as its user says; mistakes are one clear error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from attnprof.counting.counted import count
from attnprof.errors import AttnprofError
from attnprof.shapes import Shape
from attnprof.targets import door
from attnprof.targets.call_text import call_of, input_of
from attnprof.targets.usage import Usage, settings_by_owner
from attnprof.usercode import UserCode
from attnprof.words import Pass

OWN = Path(__file__).parents[2] / "fakes" / "user_code.py"
N, D = 64, 64
SHAPE = Shape(N, dim=D, heads=4)
PLAIN = 8 * N * D**2 + 4 * N**2 * D  # four projections, and the two products of scores


def found(name: str, **said: Any) -> UserCode:
    target = door.find(f"{OWN}:{name}", usage=Usage(**said))
    assert isinstance(target, UserCode)
    return target


def flops(target: UserCode, shape: Shape = SHAPE) -> int | None:
    return count(target, shape, Pass.FORWARD).cost.flops_executed


@pytest.mark.parametrize("name", ["Configured", "Unannotated"])
def test_a_config_takes_the_sizes_that_are_asked_for(name: str) -> None:
    target = found(name)
    assert flops(target) == PLAIN
    assert set(target.unknown(SHAPE)) == {"level", "causal", "kv_heads", "head_dim", "v_head_dim"}


def test_a_config_s_own_sizes_are_said_in_a_file_or_one_by_one(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"n_embd": 128, "n_head": 8}))
    target = found("Configured", config=str(file), config_arguments={"n_head": 2})
    assert dict(target.sizes) == {"dim": 128, "heads": 2}
    assert target.resolve(N) == {"n_embd": 128, "n_head": 2}
    assert str(file) in target.files


@pytest.mark.parametrize(
    ("name", "said", "message", "hint"),
    [
        ("Configured", {"config_arguments": {"n_heads": 2}}, "unknown key of PlainConfig", "n_head"),
        ("Plain", {"config_arguments": {"n_head": 2}}, "takes no config", "(dim, heads)"),
        ("Configured", {"config": "nowhere.json"}, "cannot read nowhere.json", "JSON file"),
        ("Named", {}, "needs 'gadget'", "--input gadget=b,n,D"),
        ("Plain", {"inputs": ("y=b,n,D",)}, "--input y is none of its parameters", "takes (x)"),
        ("Plain", {"inputs": ("y=b,n,D",), "call": "m(x)"}, "no use of --input y", "m(x, x, x)"),
        ("Unmade", {}, "cannot be made, line", "made with (dim=64)"),
        ("Plain", {"output": "second"}, "unknown output", "0"),
        ("Plain", {"call": "m(x, x)"}, "takes 2 positional arguments", "called as m(x, x) with x = [1, 64, 64]"),
    ],
)
def test_what_cannot_be_is_one_error(name: str, said: dict[str, Any], message: str, hint: str) -> None:
    with pytest.raises(AttnprofError) as caught:
        count(found(name, **said), SHAPE, Pass.FORWARD)
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_each_parameter_is_given_what_its_name_says() -> None:
    target = found("Crossed")
    assert flops(target, SHAPE.replace(m=32)) == PLAIN + 2 * 32 * D**2
    assert target.call(SHAPE.replace(m=32)) == (
        "forward(hidden=[1, n, 64], memory=[1, m, 64], attn_mask=None, position_ids=[1, n])"
    )
    assert "bidirectional_seen" in count(target, SHAPE, Pass.FORWARD).flags


@pytest.mark.parametrize(("output", "grown"), [(None, True), ("first", True), ("second", False), ("2", False)])
def test_an_output_may_be_chosen(output: str | None, grown: bool) -> None:
    cost = count(found("Crossed", output=output), SHAPE, Pass.TRAIN).cost
    forward = PLAIN + 2 * N * D**2
    assert cost.flops_executed == forward + (2 * PLAIN if grown else 4 * N * D**2)


def test_ids_are_below_the_vocabulary_and_show_causality() -> None:
    target = found("Embedded")
    assert "causal_seen" in count(target, SHAPE, Pass.FORWARD).flags
    (ids,) = target.inputs(SHAPE)
    assert ids.shape == (1, N)
    assert int(ids.max()) < 7


def test_what_a_name_does_not_say_is_said() -> None:
    by_input = found("Named", inputs=("gadget=1,n,D",))
    by_call = found("Named", inputs=("gadget=D",), call="m(x, gadget=gadget)")
    assert flops(by_input) == flops(by_call) == PLAIN
    assert by_call.call(SHAPE) == "m(x, gadget=gadget) with x = [1, n, 64], gadget = [64]"


def test_a_leak_of_the_future_is_said_where_causality_was_asked_for() -> None:
    flags = count(found("Untrue"), SHAPE.replace(causal=True), Pass.FORWARD).flags
    assert "future_leaks" in flags
    assert "future_leaks" not in count(found("Untrue"), SHAPE, Pass.FORWARD).flags


def test_a_module_that_is_told_the_length_says_so() -> None:
    target = door.find("linformer:LinformerSelfAttention", usage=Usage(arguments={"seq_len": "{n}"}))
    assert "made_for_each_length" in count(target, SHAPE, Pass.FORWARD).flags


def test_an_argument_may_be_of_one_target() -> None:
    usage = Usage(arguments=settings_by_owner(["Plain.heads=2", "user_code.dim=8", "dim=32"]))
    assert dict(usage.of_target("user_code:Plain").arguments) == {"dim": 8, "heads": 2}
    assert dict(usage.of_target("other:Item").arguments) == {"dim": 32}
    with pytest.raises(AttnprofError, match=r"--arg Plain.heads is of no target here"):
        usage.check_owners(["other:Item"])
    assert Usage.from_json(json.loads(json.dumps(usage.to_json()))) == usage


@pytest.mark.parametrize(
    "text",
    [
        "m(",
        "x",
        "m.forward(x)",
        "m(x)(x)",
        "m(*x)",
        "m(**x)",
        "m(x + 1)",
        "m(x[0])",
        "m(len(x))",
        "m(1)",
        "m(b'a')",
        "",
    ],
)
def test_a_call_is_parsed_and_never_evaluated(text: str) -> None:
    with pytest.raises(AttnprofError, match="--call") as caught:
        call_of(text, ())
    assert "m(x, x, x)" in caught.value.hint


@pytest.mark.parametrize("text", ["=b,n", "x=", "x=b,q", "x=b,n:float", "x=b,0", "gadget", "position_embeddings"])
def test_an_input_that_cannot_be_read_says_how_it_is_written(text: str) -> None:
    with pytest.raises(AttnprofError, match="--input") as caught:
        input_of(text)
    assert "memory=b,m,D" in caught.value.hint


def test_a_call_gives_each_argument_its_term() -> None:
    form = call_of("m(x, (cos, sin), -1, mask=None, flag=True)", ())
    assert [it.name for it in form.inputs] == ["x", "cos", "sin"]
    assert form.applied([1, 2, 3]) == ((1, (2, 3), -1), {"mask": None, "flag": True})


def test_what_reads_a_memory_alone_is_not_said_to_attend_to_nothing() -> None:
    flags = count(found("Cross"), SHAPE, Pass.FORWARD).flags
    assert not {"tokens_never_mix", "causal_seen", "bidirectional_seen"} & set(flags)
