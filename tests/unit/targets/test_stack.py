"""Stacks as targets: they compute what their references do, decode as they go forward, and go through every door."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import attnprof
from attnprof.contracts import SchemeTarget
from attnprof.errors import AttnprofError
from attnprof.layered_target import LayeredTarget
from attnprof.layers.feed_forwards import ExpertFFN, GatedFFN
from attnprof.measure.gate import check
from attnprof.shapes import Shape
from attnprof.targets import door
from attnprof.targets.stack import StackTarget, stack
from attnprof.words import Level, Pass

MIXED = (
    "1 dense ffn=moe width=24 experts=4 active=2 shared=1 + 1 dense kv_heads=2 shares_kv=false ffn=glu width=40 "
    "+ 1 linear ffn=none + 1 sliding_window window=8 + 1 sliding_window window=8 shares_kv=true + 1 none ffn=plain "
    "; dim=32 heads=4 vocab=20"
)


@pytest.mark.parametrize("level", [Level.ATTENTION, Level.BLOCK])
@pytest.mark.parametrize("pass_", [Pass.TRAIN, Pass.DECODE])
def test_it_passes_the_gate(level: Level, pass_: Pass) -> None:
    """Outputs and gradients of the oracle in float64, no future read, a step equal to the whole forward's last row."""
    target = stack(MIXED)
    shape = target.fitted(Shape(n=80, causal=True, level=level), ())
    assert check(target, shape, pass_) == {}


def test_the_gate_sees_a_wrong_layer() -> None:
    target = stack("1 dense + 1 dense kv_heads=2 shares_kv=false ; dim=32 heads=4")
    shape = target.fitted(Shape(n=64, causal=True), ())
    module, oracle = target.build(shape), target.reference(shape)
    oracle.load_state_dict(module.state_dict())
    x = torch.randn(1, 64, 32)
    assert torch.allclose(module(x), oracle(x), atol=1e-5)
    with torch.no_grad():
        next(iter(module.parameters())).mul_(1.1)
    assert not torch.allclose(module(x), oracle(x), atol=1e-5)


@pytest.mark.parametrize("experts", [1, 3])
@pytest.mark.parametrize("shared", [0, 2])
def test_experts_take_every_token_whatever_the_router_says(experts: int, shared: int) -> None:
    torch.manual_seed(0)
    ffn = ExpertFFN(8, 12, experts, min(2, experts), shared).double()
    x = torch.randn(2, 5, 8, dtype=torch.float64, requires_grad=True)
    with torch.no_grad():
        ffn.router.weight[0] += 10 * x.mean((0, 1))  # most tokens go to the first: none of them is dropped
    got = ffn(x)
    grads = torch.autograd.grad(got.sin().sum(), [x, *ffn.parameters()])
    wanted = ffn.reference(x)
    oracle = torch.autograd.grad(wanted.sin().sum(), [x, *ffn.parameters()])
    assert torch.allclose(got, wanted, atol=1e-12)
    for one, other in zip(grads, oracle, strict=True):
        assert torch.allclose(one, other, atol=1e-10)


def test_a_gated_ffn_is_its_formula() -> None:
    ffn = GatedFFN(6, 10).double()
    x = torch.randn(2, 3, 6, dtype=torch.float64)
    assert torch.allclose(ffn(x), ffn.reference(x), atol=1e-12)


def test_the_door_opens_for_a_text_a_file_and_a_path(tmp_path: Path) -> None:
    file = tmp_path / "stack.toml"
    file.write_text('layers = 3\n[[layer]]\nmixer = "sliding_window"\nwindow = 8\n[[layer]]\nmixer = "dense"\n')
    name = "1 sliding_window window=8 + 1 dense ; layers=3"
    for thing in ("sliding_window window=8+dense;layers=3", str(file), file):
        found = attnprof.target(thing)
        assert isinstance(found, StackTarget)
        assert (found.name, found.layers) == (name, 3)
        assert isinstance(found, LayeredTarget)
        assert isinstance(found, SchemeTarget)
    assert stack(file).files[0] == str(file)
    assert door.find("2 dense", name="2 dense").name == "2 dense"


def test_a_bare_name_stays_what_it_is() -> None:
    assert not isinstance(attnprof.target("dense"), LayeredTarget)
    with pytest.raises(AttnprofError, match="unknown scheme 'denses'"):
        attnprof.target("denses")


def test_parameters_are_named_by_scheme_and_form() -> None:
    found = stack("2 sliding_window window=8 + 1 dense + 1 sliding_window")
    assert found.resolve(64) == {"sliding_window.window": 8, "sliding_window#2.window": 512}


def test_labels_are_those_of_the_layers() -> None:
    shape = Shape(n=64, causal=True, heads=8, dim=64)
    alike, mixed = stack("2 dense kv_heads=2 heads=4"), stack("1 dense kv_heads=2 + 1 dense kv_heads=4")
    assert (alike.fitted(shape, ()).groups, alike.fitted(shape, ()).heads, alike.differing(shape)) == (2, 4, ())
    assert mixed.differing(shape) == ("kv_heads",)
    assert [group.shape.groups for group in mixed.groups(shape)] == [2, 4]
    with pytest.raises(AttnprofError, match="kv_heads = 2"):
        alike.fitted(shape.replace(kv_heads=8), ("kv_heads",))


def test_groups_know_their_layers() -> None:
    found = stack("2 sliding_window window=8 + 1 dense ffn=glu width=96 ; layers=7")
    groups = found.groups(Shape(n=64, causal=True, dim=64))
    assert [(group.label, group.layers) for group in groups] == [
        ("sliding_window window=8", (1, 2, 4, 5, 7)),
        ("dense", (3, 6)),
    ]
    assert groups[1].ffn == {"kind": "glu", "width": 96}


def test_no_causality_in_common_is_refused() -> None:
    with pytest.raises(AttnprofError, match="no causality that all layers have"):
        attnprof.count("1 swin + 1 gated_deltanet", 64)


def test_a_stack_may_say_that_it_is_causal() -> None:
    said, open_ = stack("2 dense ; causal=true"), stack("2 dense")
    assert (said.card.native_causal, said.card.causality) == (True, (True,))
    assert open_.card.native_causal is False
    with pytest.raises(AttnprofError, match="the stack has no bidirectional form"):
        attnprof.count(said, 64, causal=False)
    with pytest.raises(AttnprofError, match="causal is 1, but it is true or false"):
        attnprof.count("2 dense ; causal=1", 64)
    with pytest.raises(AttnprofError, match="no causality that all layers have"):
        attnprof.count("1 gla ; causal=false", 64)


def test_the_pattern_of_a_stack_is_that_of_each_layer() -> None:
    found = stack("1 sliding_window window=4 + 1 dense + 1 none ffn=plain + 1 sinks window=2")
    pattern = found.graph(Shape(n=12, causal=True))
    assert pattern.layers == 3
    edges = [found.edges(Shape(n=12, causal=True), layer) for layer in range(3)]
    assert edges == [pattern.edges(layer) for layer in range(3)]
    assert edges[:2] == [12 * 4 - 6, 78]


def test_random_layers_of_a_kind_are_drawn_apart() -> None:
    pattern = stack("3 bigbird block=4").graph(Shape(n=256))
    drawn = [pattern.slices(layer).dense().tobytes() for layer in range(3)]
    assert len(set(drawn)) == 3


def test_limit_and_forms_take_a_stack() -> None:
    text = "1 sliding_window window=64 + 1 flash"
    found = attnprof.limit(text, "1GiB", dim=64, heads=2, causal=True)
    more = attnprof.count(text, found.n + 512, "train", dim=64, heads=2, causal=True).cost
    assert found.needed_bytes <= 2**30
    assert found.peak_bytes == attnprof.count(text, found.n, "train", dim=64, heads=2, causal=True).cost.peak_bytes
    assert (more.peak_bytes or 0) > found.peak_bytes


def test_a_child_counts_gates_and_measures_it_like_a_scheme() -> None:
    from attnprof.records import Point
    from attnprof.sweeps.child import Child
    from attnprof.sweeps.points import SweepRequest, plan

    text = "1 sliding_window window=8 + 1 dense ffn=glu width=48"
    (job,) = plan(SweepRequest((64,), (text,), Shape(n=1, dim=32, heads=4, level=Level.BLOCK), causal=True))
    child = Child()
    assert child.answer(job.opening())["name"] == text
    for planned in job.points:
        point = planned.point.to_json()
        assert Point.from_json(point) == planned.point
        assert point["source"] == point["target"] == text
        counted = child.answer({"do": "count", "point": point})
        assert counted["cost"]["flops_executed"] > 0
        assert child.answer({"do": "gate", "point": point})["reasons"] == {}
        measured = child.answer({"do": "measure", "point": point, "budget_s": 0.05})
        assert measured["measured"]["wall_s"]["median"] > 0, measured
