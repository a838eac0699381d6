"""Linformer: attention over keys and values projected along the sequence (Wang et al. 2020, equation 7)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from attnprof.contracts import Spec
from attnprof.layers.attention import merge_heads, split_heads
from attnprof.layers.softmax import attend, softmax_attention


class Core(nn.Module):
    """`q [b, h, n, d]`, `k, v [b, g, m, d]`; E and F are `[rank, m]`, or `[g, rank, m]` without sharing."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        sharing, rank, keys = str(spec.params["sharing"]), spec.number("rank"), spec.shape.keys
        size = (spec.shape.groups, rank, keys) if sharing == "none" else (rank, keys)
        self.e = nn.Parameter(torch.randn(size) * rank**-0.5)
        self.f = nn.Parameter(torch.randn(size) * rank**-0.5) if sharing in ("none", "headwise") else None
        self.shared_by_layers = ("e",) if sharing == "layerwise" else ()

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return attend(q, compressed(self.e, k), compressed(self.e if self.f is None else self.f, v))

    def reference(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """The same, position by position: each slot is a weighted sum of all keys, or values."""
        e, f = self.e, self.e if self.f is None else self.f
        if e.ndim == 2:
            e, f = e.expand(k.shape[1], -1, -1), f.expand(k.shape[1], -1, -1)
        slots = torch.einsum("grm,bgmd->bgrd", e, k), torch.einsum("grm,bgmd->bgrd", f, v)
        return softmax_attention(q, *slots)


def compressed(matrix: Tensor, x: Tensor) -> Tensor:
    """`x [b, g, m, d]` as `[b, g, rank, d]`: one product for all heads where they share the matrix."""
    if matrix.ndim == 3:
        return matrix @ x
    return split_heads(matrix @ merge_heads(x), x.shape[1])


def flops_core(spec: Spec) -> int:
    """4 n r d a query head for the attention, 4 m r d a KV head for E k and F v."""
    shape, rank = spec.shape, spec.number("rank")
    width = shape.n * shape.heads + shape.keys * shape.groups
    return 4 * shape.batch * rank * shape.d * width
