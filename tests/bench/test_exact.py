"""Exact attention, windows token by token, experts: at least as fast as the public implementation on a CPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from attnprof.layers.experts import SwitchFeedForward
from attnprof.shapes import Shape
from attnprof.targets import door
from tests.bench.ratios import benchmarked, passes

pytestmark = pytest.mark.slow
DIM, HEADS, WINDOW = 512, 8, 512
NOISE = 0.9
Call = Callable[..., Tensor]


def fused() -> Call:
    """torch's own layer without weights to return: it calls the fused kernel."""
    layer = nn.MultiheadAttention(DIM, HEADS, bias=False, batch_first=True)
    return lambda x: layer(x, x, x, need_weights=False)[0]


def explicit() -> Call:
    """torch's own layer with every score in memory, as `cross` has them."""
    layer = nn.MultiheadAttention(DIM, HEADS, bias=False, batch_first=True)

    def attended(x: Tensor, context: Tensor) -> Tensor:
        with sdpa_kernel(SDPBackend.MATH):
            return layer(x, context, context, need_weights=False)[0]

    return attended


def bert() -> Call:
    """The eager layer of `transformers`, and its output projection."""
    package = pytest.importorskip("transformers.models.bert.modeling_bert", reason="transformers is not installed")
    config = package.BertConfig(
        hidden_size=DIM, num_attention_heads=HEADS, attention_probs_dropout_prob=0.0, hidden_dropout_prob=0.0
    )
    config._attn_implementation = "eager"
    layer, out = package.BertSelfAttention(config), nn.Linear(DIM, DIM, bias=False)
    return lambda x: out(layer(x)[0])


def measured(benchmark: Any, theirs: Call, ours: nn.Module, inputs: tuple[Tensor, ...], pass_: str, name: str) -> float:
    turns = passes(theirs, inputs, pass_), passes(ours, inputs, pass_)
    return benchmarked(benchmark, *turns, scheme=name, n=inputs[0].shape[-2], pass_=pass_)


@pytest.mark.parametrize("pass_", ["forward", "train"])
@pytest.mark.parametrize("n", [4096, 16384])
def test_fused_attention_is_as_fast_as_torchs_layer(benchmark: Any, n: int, pass_: str) -> None:
    target, shape = door.find("flash"), Shape(n)
    torch.manual_seed(0)
    assert measured(benchmark, fused(), target.build(shape), target.inputs(shape), pass_, "flash") >= NOISE


@pytest.mark.parametrize("pass_", ["forward", "train"])
def test_cross_attention_is_as_fast_as_torchs_layer(benchmark: Any, pass_: str) -> None:
    """At 4096 only: one matrix of scores is 8.6 GB at 16384."""
    target, shape = door.find("cross"), Shape(4096)
    torch.manual_seed(0)
    assert measured(benchmark, explicit(), target.build(shape), target.inputs(shape), pass_, "cross") >= NOISE


@pytest.mark.parametrize("pass_", ["forward", "train"])
def test_explicit_attention_is_as_fast_as_bert(benchmark: Any, pass_: str) -> None:
    """At 4096 only: one matrix of scores is 8.6 GB at 16384."""
    target, shape = door.find("dense"), Shape(4096)
    torch.manual_seed(0)
    assert measured(benchmark, bert(), target.build(shape), target.inputs(shape), pass_, "dense") >= NOISE


@pytest.mark.parametrize("pass_", ["forward", "train"])
@pytest.mark.parametrize("n", [4096, 16384])
def test_a_sliding_window_is_as_fast_as_its_package(benchmark: Any, n: int, pass_: str) -> None:
    """`local-attention` with the exact window of W + 1 keys."""
    package = pytest.importorskip("local_attention", reason="local-attention is not installed")
    theirs = package.LocalAttention(
        dim=DIM // HEADS,
        window_size=WINDOW,
        causal=True,
        look_backward=1,
        look_forward=0,
        exact_windowsize=True,
        use_rotary_pos_emb=False,
    )
    target = door.find("sliding_window", params={"window": WINDOW + 1})
    shape = Shape(n, causal=True, level="core")
    torch.manual_seed(0)
    assert measured(benchmark, theirs, target.build(shape), target.inputs(shape), pass_, "sliding_window") >= NOISE


@pytest.mark.parametrize("pass_", ["forward", "train"])
@pytest.mark.parametrize("n", [4096, 16384])
def test_experts_are_as_fast_as_those_of_transformers(benchmark: Any, n: int, pass_: str) -> None:
    """The FFN alone, as both have the same attention. The places of an expert that stay empty are computed here, as the
    paper does, and left out there: what is asked is the same speed for the places that are filled.
    """
    package = pytest.importorskip(
        "transformers.models.switch_transformers.modeling_switch_transformers", reason="transformers is not installed"
    )
    config = package.SwitchTransformersConfig(
        d_model=DIM, d_ff=4 * DIM, num_experts=8, expert_capacity=n // 8, dropout_rate=0.0
    )
    torch.manual_seed(0)
    theirs, ours = package.SwitchTransformersSparseMLP(config).eval(), SwitchFeedForward(n, DIM, 4 * DIM, 8, 1.0)
    x = torch.randn(1, n, DIM)
    turns = passes(theirs, (x,), pass_), passes(ours, (x,), pass_)
    filled = float((ours.slots(ours.chances(x))[1] < n).float().mean())
    assert benchmarked(benchmark, *turns, scheme="switch", n=n, pass_=pass_, filled=filled) >= NOISE * filled
