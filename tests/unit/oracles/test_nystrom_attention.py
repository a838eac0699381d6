"""Nystromformer against the `nystrom-attention` package (0.0.14).

It takes one norm for all sequences and heads, and pads on the left: one head of one sequence of whole segments.
"""

from __future__ import annotations

import pytest
import torch

from attnprof.layers.attention import Attention
from attnprof.shapes import Shape
from attnprof.targets import door

package = pytest.importorskip("nystrom_attention", reason="nystrom-attention is not installed: make oracles")


@pytest.mark.parametrize("conv", [0, 5])
def test_a_layer_equals_the_packages(conv: int) -> None:
    shape = Shape(n=48, dim=16, heads=1, dtype="float64")
    ours = door.find("nystromformer", params={"landmarks": 8, "conv": conv}).build(shape)
    assert isinstance(ours, Attention)
    theirs = package.NystromAttention(16, 16, 1, 8, residual=bool(conv), residual_conv_kernel=conv or 33).double()
    with torch.no_grad():
        parts = (ours.project.to_q, ours.project.to_k, ours.project.to_v)
        theirs.to_qkv.weight.copy_(torch.cat([part.weight for part in parts]))
        theirs.to_out[0].weight.copy_(ours.out.weight)
        theirs.to_out[0].bias.zero_()
        if conv:
            theirs.res_conv.weight.copy_(ours.core.filters)
    x = torch.randn(1, 48, 16, dtype=torch.float64, requires_grad=True)
    grad = torch.randn_like(x)
    # Its identity matrix is a float32 one, which is exact.
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-10, atol=1e-10)
    (expected,) = torch.autograd.grad(theirs(x), x, grad)
    torch.testing.assert_close(torch.autograd.grad(ours(x), x, grad)[0], expected, rtol=1e-8, atol=1e-8)
