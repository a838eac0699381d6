"""Laws of stacks: what is added over layers is what the whole module spends, and equal layers are a scheme's depth."""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import attnprof
from attnprof.counting import Counted, count
from attnprof.counting.added import count_parts, summed
from attnprof.counting.believed import observe
from attnprof.errors import AttnprofError
from attnprof.layered_target import LayeredTarget
from attnprof.shapes import Shape
from attnprof.words import Level, Pass

N, D = 96, 64
SIZES: dict[str, Any] = {"causal": True, "dim": D, "heads": 4, "batch": 2}

STACKS = {
    "windows and dense": "2 sliding_window window=16 + 1 dense kv_heads=2 ; layers=5",
    "states and sinks": "2 (1 linear + 1 sinks window=8) + 1 flash heads=2 head_dim=16 kv_heads=1",
    "own widths": "1 dense head_dim=24 v_head_dim=8 + 1 sliding_window window=8 heads=8",
    "experts and a head": "1 dense ffn=moe width=40 experts=4 active=2 shared=1 + 1 none ffn=glu width=96 "
    "+ 1 dense ffn=none ; vocab=50",
    "shared keys and values": "1 dense + 2 dense shares_kv=true + 2 sliding_window window=8 "
    "+ 1 sliding_window window=8 shares_kv=true",
    "shared weights": "1 dense ffn=glu width=40 + 2 dense ffn=glu width=40 shares_weights=true + 1 mamba2 state=8 "
    "+ 1 dense ffn=glu width=40 shares_weights=true + 1 mamba2 state=8 shares_weights=true",
}


def stack(name: str) -> LayeredTarget:
    found = attnprof.target(STACKS[name])
    assert isinstance(found, LayeredTarget)
    return found


def counted(thing: Any, pass_: Pass, **sizes: Any) -> Counted:
    return attnprof.count(thing, N, pass_, **{**SIZES, **sizes})


CASES = [(name, Level.BLOCK) for name in STACKS if name != "own widths"] + [("own widths", Level.ATTENTION)]


@pytest.mark.parametrize(("name", "level"), CASES)
@pytest.mark.parametrize("pass_", list(Pass))
def test_the_sum_over_layers_is_what_the_whole_module_spends(name: str, level: Level, pass_: Pass) -> None:
    target, shape = stack(name), Shape(n=N, level=level, **SIZES)
    values, _ = summed(count_parts(target, shape, pass_, partial(count, core=True)))
    seen = observe(target, shape, pass_)
    run, built = seen.run, seen.built
    whole = {
        "flops_executed": run.tally.flops,
        "flops_core_executed": run.tally.core,
        "exp_ops": run.tally.exp_ops,
        "arith_ops": run.tally.arith_ops,
        "select_ops": run.tally.select_ops,
        "selection_flops": run.tally.selection,
        "saved_bytes": run.saved_bytes,
        "param_grad_bytes": run.param_grad_bytes,
        "param_bytes": built.param_bytes,
        "buffer_bytes": built.buffer_bytes,
        **run.state,
    }
    if any(part.shares_weights for part in target.parts(shape)):
        whole.pop("arith_ops")  # gradients of shared weights are added up; the cost has the whole module's
    if target.owners():
        whole.pop("decode_read_bytes", None)  # each layer that reads a cache reads it; the module has one of it
        whole.pop("arith_ops")  # gradients of shared keys and values are added up; the cost has the whole module's
    assert {key: values[key] for key in whole} == whole


@pytest.mark.parametrize("name", ["shared keys and values", "shared weights"])
def test_the_peak_is_that_of_the_whole_module(name: str) -> None:
    target, shape = stack(name), Shape(n=N, level=Level.BLOCK, **SIZES)
    run = observe(target, shape, Pass.TRAIN).run
    cost = counted(target, Pass.TRAIN, level="block").cost
    assert (cost.peak_bytes, cost.moved_bytes) == (run.lives.peak, run.tally.moved_bytes)
    assert cost.arith_ops == run.tally.arith_ops
    assert (cost.saved_bytes or 0) < run.lives.peak


LAYERS = ("dense", "sliding_window window=16", "sparse_strided stride=8")


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("pass_", [Pass.FORWARD, Pass.TRAIN])
def test_equal_layers_are_the_scheme_at_that_depth(layer: str, pass_: Pass) -> None:
    name, *settings = layer.split()
    params = {key: int(value) for key, value in (setting.split("=") for setting in settings)}
    deep = counted(name, pass_, level="block", depth=3, **params).cost
    stacked = counted(f"3 {layer}", pass_, level="block").cost
    said = {"method", "certificate", "state_bytes", "state_growth_bytes"}  # blocks of a scheme state no decoding
    for field in dataclasses.fields(deep):
        if field.name not in said:
            assert getattr(stacked, field.name) == getattr(deep, field.name), field.name


def test_experts_cost_what_is_active() -> None:
    """2 D E to route and 6 D F for each of the two chosen experts and the shared one, by hand."""
    with_experts = counted("1 dense ffn=moe width=40 experts=4 active=2 shared=1", Pass.FORWARD, level="block").cost
    without = counted("1 dense ffn=none", Pass.FORWARD, level="block").cost
    tokens = 2 * N
    assert with_experts.flops_executed is not None
    assert without.flops_executed is not None
    assert with_experts.flops_executed - without.flops_executed == tokens * (2 * D * 4 + 6 * D * 40 * 3)
    assert with_experts.flops_core_executed == without.flops_core_executed


def test_layers_that_share_keys_and_values_project_queries_alone_and_keep_nothing() -> None:
    text = "1 dense + 1 dense shares_kv=true"
    alone, shared = counted("1 dense", Pass.FORWARD).cost, counted(text, Pass.FORWARD).cost
    assert alone.flops_executed is not None
    assert alone.flops_core_executed is not None
    projections = alone.flops_executed - alone.flops_core_executed
    assert shared.flops_core_executed == 2 * alone.flops_core_executed
    assert shared.flops_executed == 2 * alone.flops_core_executed + projections * 3 // 2  # q and out, of q k v out
    assert shared.state_bytes == alone.state_bytes
    step, steps = counted("1 dense", Pass.DECODE).cost, counted(text, Pass.DECODE).cost
    assert steps.decode_read_bytes == 2 * (step.decode_read_bytes or 0)


OWN = """
import torch
from torch import nn

class Mean(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.inner = nn.Linear(dim, dim)

    def forward(self, x):
        return self.inner(x).cumsum(1), None

def attention(q, k, v):
    return (q @ k.transpose(-1, -2)).softmax(-1) @ v
"""


def test_own_code_is_a_layer_beside_schemes(tmp_path: Path) -> None:
    file = tmp_path / "own.py"
    file.write_text(OWN)
    mean, function = f"{file}:Mean", f"{file}:attention"
    both = counted(f"2 dense + 1 {mean}", Pass.TRAIN).cost
    alone, schemes = attnprof.count(mean, N, "train", batch=2, dim=D).cost, counted("2 dense", Pass.TRAIN).cost
    for figure in ("flops_executed", "saved_bytes", "param_bytes"):
        assert getattr(both, figure) == getattr(alone, figure) + getattr(schemes, figure)
    assert both.peak_bytes is not None
    found = counted(f"1 {function}", Pass.FORWARD).cost
    assert found.flops_core_executed == counted("dense", Pass.FORWARD, causal=False).cost.flops_core_executed


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("5 sliding_windw window=3", ("in the layer `sliding_windw window=3`", "did you mean sliding_window")),
        ("1 dense window=3", ("unknown parameter of dense", "'window'")),
        ("1 dense kv_heads=3 + 1 dense", ("in the layer `dense kv_heads=3`", "do not divide")),
        ("1 switch kv_heads=2 + 1 dense", ("in the layer `switch kv_heads=2`", "not defined for fewer KV heads")),
        ("1 dense dim=32 + 1 dense", ("32 wide in a stack of width 64",)),
        ("1 dense ffn=glu", ("ffn=glu needs width",)),
        ("1 dense ffn=moe width=8 experts=2 active=3", ("3 active experts of 2",)),
        ("1 dense ffn=gluu width=8", ("kind of FFN 'gluu'", "did you mean glu")),
        ("1 none window=3", ("'window'",)),
        ("1 none ffn=none", ("it has no mixer, and its FFN is none",)),
        ("2 none ffn=plain", ("no layer of", "mixes tokens")),
        ("1 dense shares_kv=true", ("layer 1", "no layer before it")),
        ("1 dense + 1 flash shares_weights=true", ("layer 2", "no layer before it is the same")),
        ("2 bigbird + 1 bigbird shares_weights=true", ("drawn anew",)),
        ("1 dense + 1 dense shares_kv=true + 1 dense shares_weights=true", ("not both",)),
        (
            "1 reformer reversible=false + 1 reformer reversible=false shares_kv=true",
            ("in the layer", "shares its keys and values"),
        ),
        ("1 reformer", ("reversible",)),
        ("1 (1 dense + 1 2 linear)", ("^ expected KEY=VALUE",)),
    ],
)
def test_what_cannot_be_names_the_layer(text: str, said: tuple[str, ...]) -> None:
    with pytest.raises(AttnprofError) as raised:
        counted(text, Pass.FORWARD, level="block")
    for part in said:
        assert part in str(raised.value)


def test_what_one_layer_lacks_the_sum_lacks_and_says_of_which() -> None:
    found = counted("1 dense + 1 linear", Pass.FORWARD)
    assert found.cost.flops_core_useful is None
    assert found.reasons["flops_core_useful"].startswith("linear: no edges between tokens")
    assert found.cost.flops_executed is not None


def test_cores_add_up_and_have_no_peak_together() -> None:
    found = counted("2 dense + 1 linear", Pass.FORWARD, level="core")
    dense, linear = (counted(name, Pass.FORWARD, level="core").cost.flops_executed for name in ("dense", "linear"))
    assert dense is not None
    assert linear is not None
    assert found.cost.flops_executed == 2 * dense + linear
    assert found.cost.peak_bytes is None
    assert "one by one" in found.reasons["peak_bytes"]
