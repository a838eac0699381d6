"""Explicit softmax attention as a core: two products, and every score between them in memory."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from attnprof.contracts import Spec
from attnprof.layers.kv_cache import Decoding
from attnprof.layers.softmax import hide, softmax_attention, unfold


class ExplicitCore(Decoding, nn.Module):
    """`q [b, h, n, d]`, `k, v [b, g, m, d]` to `[b, h, n, d]`; under causality with n < m the last queries align."""

    hidden: Tensor | None

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.shape = spec.shape
        rows, keys = spec.shape.n, spec.shape.keys
        visible = torch.ones(rows, keys, dtype=torch.bool).tril(keys - rows) if spec.shape.causal else None
        self.register_buffer("hidden", None if visible is None else ~visible)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        rows, heads = q.shape[2], q.shape[1] // k.shape[1]
        folded = q.unflatten(1, (k.shape[1], heads)).flatten(2, 3) if heads > 1 else q
        scores = folded @ (k * q.shape[-1] ** -0.5).transpose(-2, -1)
        if self.hidden is not None:
            hide(unfold(scores, heads, rows), self.hidden)
        return unfold(scores.softmax(-1) @ v, heads, rows)

    def reference(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """softmax(q k^T / sqrt(d)) v; causal: query i reads the keys j <= i + m - n."""
        i, j = (torch.arange(x.shape[2], device=q.device) for x in (q, k))
        return softmax_attention(q, k, v, j - i[:, None] <= len(j) - len(i) if self.shape.causal else None)


def explicit_flops(spec: Spec) -> int:
    """4 n m d a head: both products in full, masked or not."""
    shape = spec.shape
    return 2 * shape.batch * shape.heads * shape.n * shape.keys * (shape.d + shape.d_v)
