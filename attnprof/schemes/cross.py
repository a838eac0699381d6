"""Encoder-decoder attention: softmax over all keys of another sequence (Vaswani et al. 2017, section 3.2.3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from attnprof.contracts import Spec
from attnprof.layers.attention import dtype_of
from attnprof.layers.softmax import attend, softmax_attention


class Core(nn.Module):
    """`q [b, h, n, d]` of one sequence, `k, v [b, g, m, d]` of the other."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return attend(q, k, v)

    def reference(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """softmax(q k^T / sqrt(d)) v, each query head beside the KV head that it reads."""
        return softmax_attention(q, k, v)


def inputs(spec: Spec) -> tuple[Tensor, Tensor]:
    """Random `x [b, n, D]` and `context [b, m, D]`."""
    shape = spec.shape
    x = torch.randn(shape.batch, shape.n, shape.dim, dtype=dtype_of(shape))
    return x, torch.randn(shape.batch, shape.keys, shape.dim, dtype=dtype_of(shape))


def flops_core(spec: Spec) -> int:
    """4 n m d a head."""
    shape = spec.shape
    return 2 * shape.batch * shape.heads * shape.n * shape.keys * (shape.d + shape.d_v)
