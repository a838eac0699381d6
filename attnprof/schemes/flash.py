"""Exact attention by torch's fused kernel (Dao et al. 2022, algorithm 1)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from attnprof.layers.cache import Decoding
from attnprof.layers.softmax import softmax_attention
from attnprof.scheme import Spec

KEYS = 512


class Core(Decoding, nn.Module):
    """`q [b, h, n, d]`, `k, v [b, g, n, d]`, with the flash backend pinned: it fails rather than falls back."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.shape = spec.shape
        self.causal = spec.shape.causal
        self.grouped = spec.shape.groups != spec.shape.heads

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
            return F.scaled_dot_product_attention(q, k, v, is_causal=self.causal, enable_gqa=self.grouped)

    def reference(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """The same attention with every score in memory."""
        visible = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool, device=q.device).tril()
        return softmax_attention(q, k, v, visible if self.causal else None)


def flops_core(spec: Spec) -> int:
    """4 n m d a head; causal, over the tiles that torch's CPU kernel visits: 256, 64 or 32 queries by 512 keys.

    A block of queries reads whole tiles of keys up to the one that holds its last row.
    """
    shape = spec.shape
    n, m, pairs = shape.n, shape.keys, shape.n * shape.keys
    if shape.causal:
        rows = 256 if n >= 768 else 64 if n >= 192 else 32
        ends = ((first, min(first + rows, n)) for first in range(0, n, rows))
        pairs = sum((end - first) * min(-(-min(end, m) // KEYS) * KEYS, m) for first, end in ends)
    return 4 * shape.batch * shape.heads * shape.head_dim * pairs
