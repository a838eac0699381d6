"""Forward and training peaks of public attention modules against the allocator's own events, to the byte or nearly."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from attnprof.counting import count
from attnprof.shapes import Shape
from attnprof.words import Pass
from tests.unit.counting.allocator import measured_peak
from tests.unit.counting.modules import ModuleTarget

pytest.importorskip("transformers")
N, D, H = 128, 128, 8


def modelled(name: str) -> Any:
    return importlib.import_module(f"transformers.models.{name}.modeling_{name}")


def config(kind: str, **sizes: Any) -> Any:
    return getattr(importlib.import_module("transformers"), kind)(hidden_size=D, num_attention_heads=H, **sizes)


class First(nn.Module):
    """A module of transformers on hidden states, its first result; `given` is what else it is called with."""

    def __init__(self, inner: nn.Module, **given: Any) -> None:
        super().__init__()
        self.inner, self.given = inner, given

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(hidden_states=x, **self.given)[0]


class Embedded(First):
    """A whole model on embeddings."""

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(inputs_embeds=x)[0]


def deepseek() -> nn.Module:
    """Keys wider than values: SDPA's explicit path."""
    settings = config("DeepseekV3Config", num_key_value_heads=H, q_lora_rank=32, kv_lora_rank=32, qk_nope_head_dim=16,
                      qk_rope_head_dim=8, v_head_dim=16)  # fmt: skip
    settings._attn_implementation = "sdpa"
    angle = torch.ones(1, N, 8)
    module = modelled("deepseek_v3").DeepseekV3Attention(settings, 0)
    return First(module, position_embeddings=(angle, angle), attention_mask=None)


def nystrom() -> nn.Module:
    """A depthwise convolution of the values over 33 tokens."""
    settings = config("NystromformerConfig", conv_kernel_size=33, num_landmarks=16, segment_means_seq_len=N)
    return First(modelled("nystromformer").NystromformerSelfAttention(settings))


def yoso() -> nn.Module:
    """Truth values and numbers in one product."""
    settings = config("YosoConfig", intermediate_size=D, num_hidden_layers=1, max_position_embeddings=2 * N)
    return Embedded(modelled("yoso").YosoModel(settings))


def bigbird() -> nn.Module:
    """Random blocks, picked by tables of NumPy's."""
    settings = config("BigBirdConfig", intermediate_size=D, num_hidden_layers=1, block_size=8, num_random_blocks=2)
    return Embedded(modelled("big_bird").BigBirdModel(settings, add_pooling_layer=False))


@pytest.mark.parametrize("pass_", [Pass.FORWARD, Pass.TRAIN])
@pytest.mark.parametrize("make", [deepseek, nystrom, yoso, bigbird], ids=lambda f: f.__name__)
def test_peak_of_a_public_module_is_the_allocators(make: Callable[[], nn.Module], pass_: Pass) -> None:
    feed = lambda: (torch.randn(1, N, D),)  # noqa: E731
    cost = count(ModuleTarget(make, feed), Shape(N, dim=D, heads=H), pass_).cost
    measured = measured_peak(make().train(pass_ == Pass.TRAIN), feed(), pass_)
    assert cost.peak_bytes is not None
    assert cost.certificate is not None
    convolves = make is nystrom
    assert any("convolution" in name for name in cost.certificate.unknown_workspaces) == convolves
    # Of a convolution the forward's copies are close, the backward's are not; numbers in tensors are a few bytes.
    share = 1e-3 if not convolves else 5e-2 if pass_ == Pass.FORWARD else 1e-1
    assert abs(cost.peak_bytes - measured) <= share * measured
