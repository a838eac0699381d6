"""Exact attention by torch's fused kernel (Dao et al. 2022, algorithm 1)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from attnprof.layers.cache import Decoding
from attnprof.layers.softmax import softmax_attention
from attnprof.scheme import Spec


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
