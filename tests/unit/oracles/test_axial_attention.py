"""The axial layers against the axial-attention package, which sums the two axes."""

from __future__ import annotations

import pytest
import torch

from attnprof.shapes import Shape
from attnprof.targets import door

axial = pytest.importorskip("axial_attention", reason="axial-attention is an oracle for tests only")


def test_row_and_column_layer_give_the_two_axes() -> None:
    height, width, dim, heads = 6, 6, 16, 2
    theirs = axial.AxialAttention(dim=dim, dim_index=-1, heads=heads, num_dimensions=2, sum_axial_out=False).eval()
    shape = Shape(height * width, batch=2, dim=dim, heads=heads)
    rows, columns = door.find("axial").build(shape)
    x = torch.randn(2, height, width, dim)
    flat = x.flatten(1, 2)
    parts = {tuple(part.permutation): part.fn for part in theirs.axial_attentions}
    for ours, order in ((rows, (0, 1, 2, 3)), (columns, (0, 2, 1, 3))):
        oracle = parts[order]
        ours.project.to_q.weight.data.copy_(oracle.to_q.weight)
        key, value = oracle.to_kv.weight.chunk(2)
        ours.project.to_k.weight.data.copy_(key)
        ours.project.to_v.weight.data.copy_(value)
        ours.out.weight.data.copy_(oracle.to_out.weight)
        moved = x.permute(order)
        out = oracle(moved.flatten(0, 1)).view_as(moved) - oracle.to_out.bias
        torch.testing.assert_close(ours(flat), out.permute(order).flatten(1, 2), rtol=1e-5, atol=1e-5)
