"""The compressed layer against `memory-compressed-attention` (0.0.7), where the two agree: one head, n = 3 m."""

from __future__ import annotations

import pytest
import torch

from attnprof.layers.pooling import Convolution, SlotAttention

package = pytest.importorskip(
    "memory_compressed_attention",
    reason="memory-compressed-attention is not installed: make oracles",
)


@pytest.mark.parametrize("causal", [False, True], ids=["both-ways", "causal"])
def test_compressed_attention_equals_the_packages(causal: bool) -> None:
    n, dim = 48, 16
    theirs = package.MemoryCompressedAttention(dim, heads=1, causal=causal, compression_factor=3).double()
    convolution = Convolution(dim, 3).double()
    slots = SlotAttention(n, 3, causal=True, groups=1, width=dim).double()
    with torch.no_grad():
        theirs.compress_fn.conv.bias.zero_()
        theirs.compress_fn.conv.weight.copy_(convolution.weight.weight.unflatten(1, (3, -1)).transpose(1, 2))
        theirs.null_k.copy_(slots.null[0])
        theirs.null_v.copy_(slots.null[1])
    x = torch.randn(2, n, dim, dtype=torch.float64)
    q, k, v = (part[:, None] for part in theirs.to_qkv(x).chunk(3, -1))
    k, v = convolution(k), convolution(v)
    if causal:
        mixed = slots(q, k, v)
    else:
        null_k, null_v = (slots.null[at].expand(2, -1, -1, -1) for at in (0, 1))
        everything = SlotAttention(n, 3, causal=False, groups=1, width=dim)
        mixed = everything(q, torch.cat([null_k, k], 2), torch.cat([null_v, v], 2))
    torch.testing.assert_close(theirs.to_out(mixed[:, 0]), theirs(x))
