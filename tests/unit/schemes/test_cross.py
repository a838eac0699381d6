"""Encoder-decoder attention: two lengths, against torch's fused kernel."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from attnprof.counting import count
from attnprof.shapes import Shape
from attnprof.targets import door


@pytest.mark.parametrize(("n", "m"), [(1, 9), (30, 12), (12, 30)])
@pytest.mark.parametrize("kv_heads", [4, 2, 1])
def test_queries_of_one_sequence_read_another(n: int, m: int, kv_heads: int) -> None:
    shape = Shape(n=n, m=m, batch=2, dim=32, heads=4, kv_heads=kv_heads, level="core", dtype="float64")
    target = door.find("cross")
    q, k, v = target.inputs(shape)
    expected = F.scaled_dot_product_attention(q, k, v, enable_gqa=True)
    torch.testing.assert_close(target.build(shape)(q, k, v), expected)


def test_projections_and_core_are_counted_by_their_own_lengths() -> None:
    shape = Shape(n=64, m=256, dim=32, heads=2)
    cost = count(door.find("cross"), shape, "forward").cost
    assert cost.flops_core_executed == 4 * 64 * 256 * 32
    assert cost.flops_executed == 4 * 64 * 256 * 32 + 4 * 64 * 32**2 + 4 * 256 * 32**2
