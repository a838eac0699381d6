"""Nystromformer, YOSO and FNet against `transformers` (5.24): forward and gradients in float64."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from attnprof.shapes import Shape
from attnprof.targets import door

transformers = pytest.importorskip("transformers", reason="transformers is not installed: make oracles")
SIZES = {"hidden_size": 32, "num_attention_heads": 4, "attention_probs_dropout_prob": 0.0}


def on_the_same(ours: Any, theirs: nn.Module) -> nn.Module:
    """Their module with our projections, and no biases."""
    theirs = theirs.double().eval()
    with torch.no_grad():
        for name, part in (("query", "to_q"), ("key", "to_k"), ("value", "to_v")):
            layer = theirs.get_submodule(name)
            assert isinstance(layer, nn.Linear)
            layer.weight.copy_(getattr(ours.project, part).weight)
            layer.bias.zero_()
    return theirs


def mixed(ours: Any, x: Tensor) -> Tensor:
    """What our layer says before its output projection."""
    return ours.core(*ours.project(x)).transpose(1, 2).flatten(2)


def same(ours: Tensor, theirs: Tensor, x: Tensor) -> None:
    """Outputs and the gradients of x."""
    grad = torch.randn_like(ours)
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)
    (expected,) = torch.autograd.grad(theirs, x, grad)
    torch.testing.assert_close(torch.autograd.grad(ours, x, grad)[0], expected, rtol=1e-8, atol=1e-9)


def test_nystromformer() -> None:
    """By the norm of each matrix, as the paper has it; the default there is one for all."""
    from transformers.models.nystromformer.modeling_nystromformer import NystromformerSelfAttention

    target = door.find("nystromformer", params={"landmarks": 8, "conv": 5})
    ours: Any = target.build(Shape(n=48, batch=2, dim=32, heads=4, dtype="float64"))
    config = transformers.NystromformerConfig(**SIZES, num_landmarks=8, segment_means_seq_len=48, conv_kernel_size=5)
    theirs: Any = on_the_same(ours, NystromformerSelfAttention(config))
    theirs.init_option = "exact"
    with torch.no_grad():
        theirs.conv.weight.copy_(ours.core.filters)
    x = torch.randn(2, 48, 32, dtype=torch.float64, requires_grad=True)
    same(mixed(ours, x), theirs(x)[0], x)


def test_yoso_in_expectation() -> None:
    from transformers.models.yoso.modeling_yoso import YosoSelfAttention

    ours: Any = door.find("yoso").build(Shape(n=40, batch=2, dim=32, heads=4, dtype="float64"))
    config = transformers.YosoConfig(**SIZES, use_expectation=True, conv_window=None)
    theirs = on_the_same(ours, YosoSelfAttention(config))
    x = torch.randn(2, 40, 32, dtype=torch.float64, requires_grad=True)
    same(mixed(ours, x), theirs(x, torch.ones(2, 40, dtype=torch.float64))[0], x)


@pytest.mark.parametrize(("n", "dim"), [(1, 16), (48, 32), (37, 15), (10, 1)])
def test_fnet(n: int, dim: int) -> None:
    from transformers.models.fnet.modeling_fnet import FNetBasicFourierTransform

    theirs = FNetBasicFourierTransform(transformers.FNetConfig(hidden_size=dim))
    x = torch.randn(2, n, dim, dtype=torch.float64, requires_grad=True)
    same(door.find("fnet").build(Shape(n=n, batch=2, dim=dim, heads=1, dtype="float64"))(x), theirs(x)[0], x)
