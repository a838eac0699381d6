"""Transformer-XL against the layer of `transformers` 4.40, segment by segment with its memory."""

from __future__ import annotations

import pytest
import torch

from attnprof.layers.attention import Attention
from attnprof.shapes import Shape
from attnprof.targets import door

package = pytest.importorskip(
    "transformers.models.deprecated.transfo_xl.modeling_transfo_xl",
    reason="transformers 4.40 is not installed (later ones have no TransfoXL)",
)


@pytest.mark.parametrize("same_length", [False, True], ids=["memory", "same-length"])
def test_segments_equal_the_packages(same_length: bool) -> None:
    segment, memory, n, dim = 8, 16, 32, 16
    shape = Shape(n=n, batch=2, dim=dim, heads=2, causal=True)
    settings = {"segment": segment, "memory": memory, "same_length": same_length}
    ours = door.find("transformer_xl", params=settings).build(shape)
    assert isinstance(ours, Attention)
    relative = ours.core.relative
    theirs = package.RelPartialLearnableMultiHeadAttn(2, dim, dim // 2, 0.0)
    theirs.layer_norm = torch.nn.Identity()
    with torch.no_grad():
        weights = [getattr(ours.project, name).weight for name in ("to_q", "to_k", "to_v")]
        theirs.qkv_net.weight.copy_(torch.cat(weights))
        theirs.o_net.weight.copy_(ours.out.weight)
        theirs.r_net.weight.copy_(relative.to_r.weight)
        theirs.r_w_bias.copy_(relative.u[:, 0])
        theirs.r_r_bias.copy_(relative.w[:, 0])
    x = torch.randn(2, n, dim)
    embed = package.PositionalEmbedding(dim)
    rows = []
    for start in range(0, n, segment):
        mems = x[:, max(0, start - memory) : start].transpose(0, 1)
        w = x[:, start : start + segment].transpose(0, 1)
        length = len(mems) + segment
        lag = torch.arange(segment)[:, None] + len(mems) - torch.arange(length)
        hidden = (lag < 0) | (lag > memory) if same_length else lag < 0
        r = embed(torch.arange(length - 1, -1, -1.0))[:, 0]
        out = theirs(w, r, attn_mask=hidden[:, :, None], mems=mems)[0]
        rows.append((out - w).transpose(0, 1))
    torch.testing.assert_close(ours(x), torch.cat(rows, 1), rtol=1e-4, atol=1e-5)
