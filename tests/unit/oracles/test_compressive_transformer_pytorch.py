"""Compressive attention against `compressive-transformer-pytorch` (0.4.0), segment by segment, with both memories."""

from __future__ import annotations

import pytest
import torch

from attnprof.layers.attention import Attention
from attnprof.shapes import Shape
from attnprof.targets import door

package = pytest.importorskip(
    "compressive_transformer_pytorch.compressive_transformer_pytorch",
    reason="compressive-transformer-pytorch is not installed: make oracles",
)


def test_segments_equal_the_packages() -> None:
    segment, memory, compressed, rate, dim = 8, 16, 6, 2, 16
    shape = Shape(n=72, batch=2, dim=dim, heads=2, causal=True, dtype="float64")
    settings = {"segment": segment, "memory": memory, "compressed": compressed, "rate": rate}
    ours = door.find("compressive", params=settings).build(shape)
    assert isinstance(ours, Attention)
    theirs = package.SelfAttention(dim, segment, memory, compressed, rate, heads=2).double().eval()
    project, relative = ours.project, ours.core.relative
    with torch.no_grad():
        relative.u.zero_()
        relative.w.zero_()
        theirs.to_q.weight.copy_(project.qkv.to_q.weight)
        theirs.to_kv.weight.copy_(torch.cat([project.qkv.to_k.weight, project.qkv.to_v.weight]))
        theirs.to_out.weight.copy_(ours.out.weight)
        theirs.to_out.bias.zero_()
        convolution = theirs.compress_mem_fn.conv
        convolution.bias.zero_()
        convolution.weight.copy_(project.compress.weight.unflatten(1, (rate, dim)).transpose(1, 2))
        x = torch.randn(2, 72, dim, dtype=torch.float64)
        memories, rows = None, []
        for part in x.split(segment, 1):
            out, memories, _ = theirs(part, memories, pos_emb=relative.positions()[:, :-1])
            rows.append(out)
        torch.testing.assert_close(ours(x), torch.cat(rows, 1))
