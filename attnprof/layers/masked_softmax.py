"""Every pattern as torch's fused attention under a dense mask: n * n work, whatever the pattern. The oracle."""

from __future__ import annotations

import numpy as np
import torch.nn.functional as F
from torch import Tensor, nn

from attnprof.contracts import Spec
from attnprof.layers.band_decoding import BandDecoding
from attnprof.layers.edge_softmax import softmax_over_edges
from attnprof.layers.index_tables import table


class MaskedCore(BandDecoding, nn.Module):
    """`q [b, h, n, d]`, `k, v [b, g, n, d]` under the pattern's mask `[heads or 1, n, n]`, a buffer of n * n bytes."""

    mask: Tensor
    dead: Tensor

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.spec = spec
        self.grouped = spec.shape.groups != spec.shape.heads
        mask, dead = pattern_mask(spec)
        self.register_buffer("mask", mask)
        self.register_buffer("dead", dead)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=self.mask, enable_gqa=self.grouped)
        return mixed if self.dead.numel() == 0 else mixed.index_fill(2, self.dead, 0.0)

    def reference(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Softmax over the edges of the pattern."""
        return softmax_over_edges(self.spec, q, k, v)


def pattern_mask(spec: Spec) -> tuple[Tensor, Tensor]:
    """The pattern's mask `[heads or 1, n, n]`, True where an edge is, and the queries that no head lets read a key."""
    pattern = spec.edges()
    kinds = min(pattern.heads, spec.shape.heads)
    degrees = np.stack([pattern.expr(spec.layer, head).degrees(pattern.n) for head in range(kinds)])
    order = [head % kinds for head in range(spec.shape.heads)] if kinds > 1 else [0]
    dense = table(
        lambda: np.stack([pattern.dense(spec.layer, head) for head in order]), (len(order), pattern.n, pattern.n)
    )
    return dense, table((degrees == 0).all(0).nonzero()[0])
