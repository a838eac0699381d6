"""Exact attention by torch's fused kernel (Dao et al. 2022, algorithm 1)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from attnprof.contracts import Spec
from attnprof.layers.kv_cache import Decoding
from attnprof.layers.softmax import softmax_attention


class FusedCore(Decoding, nn.Module):
    """`q [b, h, n, d]`, `k, v [b, g, m, d]`, with the flash backend pinned: it fails rather than falls back.

    Causal with n < m the last queries align. The kernel's own causality aligns the first ones, so there it has a mask.
    """

    mask: Tensor | None

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.shape = spec.shape
        rows, keys = spec.shape.n, spec.shape.keys
        self.causal = spec.shape.causal and rows == keys
        masked = spec.shape.causal and not self.causal
        self.register_buffer("mask", torch.ones(rows, keys, dtype=torch.bool).tril(keys - rows) if masked else None)
        self.grouped = spec.shape.groups != spec.shape.heads

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
            return F.scaled_dot_product_attention(
                q, k, v, attn_mask=self.mask, is_causal=self.causal, enable_gqa=self.grouped
            )

    def reference(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """softmax(q k^T / sqrt(d)) v; causal: query i reads the keys j <= i + m - n."""
        i, j = (torch.arange(x.shape[2], device=q.device) for x in (q, k))
        return softmax_attention(q, k, v, j - i[:, None] <= len(j) - len(i) if self.shape.causal else None)
