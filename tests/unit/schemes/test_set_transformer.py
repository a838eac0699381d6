"""Set Transformer: equivariant, and what the equations say of torch's own attention."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from attnprof import catalog
from attnprof.cost import count
from attnprof.errors import AttnprofError
from attnprof.model import Shape


@pytest.mark.parametrize("variant", ["paper", "official"])
def test_a_permutation_of_the_tokens_permutes_the_result(variant: str) -> None:
    shape = Shape(n=40, batch=2, dim=16, heads=2, dtype="float64")
    layer = catalog.find("set_transformer", params={"points": 8, "variant": variant}).build(shape)
    x, order = torch.randn(2, 40, 16, dtype=torch.float64), torch.randperm(40)
    torch.testing.assert_close(layer(x[:, order]), layer(x)[:, order])


def test_the_papers_block_is_made_of_torchs_multihead_attention() -> None:
    shape = Shape(n=20, batch=2, dim=16, heads=2, dtype="float64")
    layer: Any = catalog.find("set_transformer", params={"points": 8}).build(shape)
    x = torch.randn(2, 20, 16, dtype=torch.float64)

    def block(ours: Any, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        theirs = nn.MultiheadAttention(16, 2, bias=False, batch_first=True).double()
        with torch.no_grad():
            weights = [getattr(ours.attention.project, name).weight for name in ("to_q", "to_k", "to_v")]
            theirs.in_proj_weight.copy_(torch.cat(weights))
            theirs.out_proj.weight.copy_(ours.attention.out.weight)
        h = ours.after_attention(x + theirs(x, y, y)[0])
        return ours.after_rows(h + ours.rows(h))

    points = layer.points.expand(2, -1, -1)
    torch.testing.assert_close(layer(x), block(layer.writing, x, block(layer.reading, points, x)))


def test_the_authors_block_adds_the_projected_queries() -> None:
    shape = Shape(n=20, batch=2, dim=16, heads=2, dtype="float64")
    layer: Any = catalog.find("set_transformer", params={"points": 8, "variant": "official"}).build(shape)
    x, y = torch.randn(2, 20, 16, dtype=torch.float64), torch.randn(2, 8, 16, dtype=torch.float64)
    block = layer.writing
    q, k, v = (getattr(block.attention.project, name) for name in ("to_q", "to_k", "to_v"))
    heads = []
    for part in (slice(0, 8), slice(8, 16)):
        weights = (q(x)[..., part] @ k(y)[..., part].mT / 16**0.5).softmax(-1)
        heads.append(q(x)[..., part] + weights @ v(y)[..., part])
    h = torch.cat(heads, -1)
    torch.testing.assert_close(block(x, y), h + block.rows(h))


def test_the_core_costs_8_n_m_d() -> None:
    shape = Shape(n=1024, dim=64, heads=2)
    cost = count(catalog.find("set_transformer"), shape, "forward").cost
    assert cost.flops_core_executed == 8 * 1024 * 32 * 64
    rest = 2 * 64**2 * (2 * 1024 + 2 * 32) * 2 + 2 * 64**2 * (1024 + 32)
    assert cost.flops_executed == 8 * 1024 * 32 * 64 + rest


def test_an_unknown_variant_is_named() -> None:
    with pytest.raises(AttnprofError, match="variant"):
        catalog.find("set_transformer", params={"variant": "code"}).build(Shape(n=64))
