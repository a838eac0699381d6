"""Linformer against the `linformer` package (0.2.3)."""

from __future__ import annotations

import pytest
import torch

from attnprof.layers.attention import Attention
from attnprof.shapes import Shape
from attnprof.targets import door

package = pytest.importorskip("linformer", reason="linformer is not installed: make oracles")


@pytest.mark.parametrize("kv_heads", [4, 1])
def test_a_layer_equals_the_packages(kv_heads: int) -> None:
    n, rank = 48, 12
    shape = Shape(n=n, batch=2, dim=32, heads=4, kv_heads=kv_heads, dtype="float64")
    ours = door.find("linformer", params={"rank": rank}).build(shape)
    assert isinstance(ours, Attention)
    theirs = package.LinformerSelfAttention(32, n, k=rank, heads=4, one_kv_head=kv_heads == 1).double()
    with torch.no_grad():
        for name in ("to_q", "to_k", "to_v"):
            getattr(theirs, name).weight.copy_(getattr(ours.project, name).weight)
        theirs.to_out.weight.copy_(ours.out.weight)
        theirs.to_out.bias.zero_()
        theirs.proj_k.copy_(ours.core.e.T)
        theirs.proj_v.copy_(ours.core.f.T)
    x = torch.randn(2, n, 32, dtype=torch.float64, requires_grad=True)
    grad = torch.randn_like(x)
    torch.testing.assert_close(ours(x), theirs(x))
    (expected,) = torch.autograd.grad(theirs(x), x, grad)
    torch.testing.assert_close(torch.autograd.grad(ours(x), x, grad)[0], expected)
