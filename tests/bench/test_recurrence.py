"""Segments with a memory: all at once is at least as fast as the public layers, which read one after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from attnprof.shapes import Shape
from attnprof.targets import door
from tests.bench.ratios import benchmarked, passes

pytestmark = pytest.mark.slow
DIM, HEADS, SEGMENT = 512, 8, 512
NOISE = 0.9


def compressive() -> Callable[[Tensor], Tensor]:
    """The layer of `compressive-transformer-pytorch`: 512 of segment, memory and slots, two tokens a slot."""
    package = pytest.importorskip(
        "compressive_transformer_pytorch.compressive_transformer_pytorch",
        reason="compressive-transformer-pytorch is not installed",
    )
    layer = package.SelfAttention(DIM, SEGMENT, SEGMENT, SEGMENT, 2, heads=HEADS).eval()
    positions = torch.randn(HEADS, 3 * SEGMENT, DIM // HEADS)

    def segments(x: Tensor) -> Tensor:
        memories, rows = None, []
        for part in x.split(SEGMENT, 1):
            out, memories, _ = layer(part, memories, pos_emb=positions)
            rows.append(out)
        return torch.cat(rows, 1)

    return segments


def transformer_xl() -> Callable[[Tensor], Tensor]:
    """The layer of `transformers` 4.40, whose norm is left out."""
    package = pytest.importorskip(
        "transformers.models.deprecated.transfo_xl.modeling_transfo_xl",
        reason="transformers 4.40 is not installed (later ones have no TransfoXL)",
    )
    layer = package.RelPartialLearnableMultiHeadAttn(HEADS, DIM, DIM // HEADS, 0.0)
    layer.layer_norm, embed = torch.nn.Identity(), package.PositionalEmbedding(DIM)

    def segments(x: Tensor) -> Tensor:
        rows = []
        for start in range(0, x.shape[1], SEGMENT):
            memory = x[:, max(0, start - SEGMENT) : start].transpose(0, 1).detach()
            own = x[:, start : start + SEGMENT].transpose(0, 1)
            length = len(memory) + len(own)
            hidden = torch.ones(len(own), length, dtype=torch.bool).triu(len(memory) + 1)
            positions = embed(torch.arange(length - 1, -1, -1.0))[:, 0]
            rows.append(layer(own, positions, attn_mask=hidden[:, :, None], mems=memory)[0].transpose(0, 1))
        return torch.cat(rows, 1)

    return segments


@pytest.mark.parametrize("pass_", ["forward", "train"])
@pytest.mark.parametrize("n", [4096, 16384])
@pytest.mark.parametrize(
    ("make", "params"),
    [
        (compressive, {"segment": SEGMENT, "memory": SEGMENT, "compressed": SEGMENT, "rate": 2}),
        (transformer_xl, {"segment": SEGMENT, "memory": SEGMENT}),
    ],
    ids=["compressive", "transformer_xl"],
)
def test_segments_at_once_are_as_fast_as_one_by_one(
    benchmark: Any, make: Callable[[], Callable[[Tensor], Tensor]], params: dict[str, int], n: int, pass_: str
) -> None:
    torch.manual_seed(0)
    theirs = make()
    target, shape = door.find(make.__name__, params=params), Shape(n, causal=True)
    ours, inputs = target.build(shape), target.inputs(shape)
    turns = passes(theirs, inputs, pass_), passes(ours, inputs, pass_)
    assert benchmarked(benchmark, *turns, scheme=make.__name__, n=n, pass_=pass_) >= NOISE
