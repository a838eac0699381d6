"""Kimi Delta Attention: the delta rule on a state each of whose channels fades by itself (Kimi Team 2025)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attnprof import impl
from attnprof.contracts import Spec
from attnprof.layers.attention import random_streams, split_heads
from attnprof.layers.recurrence_definition import delta_by_token
from attnprof.layers.recurrent import (
    Gate,
    GatedNorm,
    RecurrentLayer,
    ShortConv,
    StateProjections,
    Streams,
    low_rank,
    unit,
)
from attnprof.layers.state_core import DeltaCore, delta_flops


class Core(DeltaCore):
    """`q, k, g [b, h, n, d]` with k of length 1, `v [b, h, n, d_v]`, `beta [b, h, n, 1]`; g log gates of channels."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec, spec.shape.d)

    def reference(self, q: Tensor, k: Tensor, v: Tensor, beta: Tensor, g: Tensor) -> Tensor:
        """S_t = (I - beta_t k_t k_t^T) diag(alpha_t) S_(t-1) + beta_t k_t v_t^T, o_t = S_t^T q_t / sqrt(d)."""
        return delta_by_token(q / q.shape[-1] ** 0.5, k, v, beta, g)


class Projections(StateProjections[Tensor]):
    """q, k, v through a short convolution and SiLU, q and k at length 1; beta; log alpha through d_v numbers."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        shape, keys = spec.shape, spec.shape.heads * spec.shape.d
        self.heads, self.sizes = shape.heads, [keys, keys, shape.heads * shape.d_v]
        self.to_qkv = nn.Linear(shape.dim, sum(self.sizes), bias=False)
        self.conv = ShortConv(sum(self.sizes), spec.number("conv"))
        self.to_beta = nn.Linear(shape.dim, shape.heads, bias=False)
        self.to_gate, self.gate = low_rank(shape.dim, keys, shape.d_v), Gate(shape.heads, keys)

    def forward(self, x: Tensor, kept: Tensor | None = None) -> tuple[Streams, Tensor]:
        mixed, tail = self.conv(self.to_qkv(x), kept)
        q, k, v = (split_heads(part, self.heads) for part in mixed.split(self.sizes, -1))
        beta = self.to_beta(x).sigmoid().mT.unsqueeze(-1)
        return (unit(q), unit(k), v, beta, self.gate(self.to_gate(x))), tail


class Layer(RecurrentLayer):
    """An RMS norm of every head, times sigmoid of a gate through d_v numbers."""

    def __init__(self, spec: Spec) -> None:
        finish = GatedNorm(spec.shape, torch.sigmoid, spec.shape.d_v)
        super().__init__(spec.shape, Projections(spec), impl.core(spec), finish)


def streams(spec: Spec) -> tuple[Tensor, ...]:
    """Random inputs of the core."""
    q, k, v = random_streams(spec.shape)
    return unit(q), unit(k), v, torch.rand_like(v[..., :1]), F.logsigmoid(torch.randn_like(k) + 3)


def flops_core(spec: Spec) -> int:
    """2 (C - 1) d (k on k, q on k) + C (d + d_v) (substitution) + 2 C d_v + 6 d d_v a row and head, in whole chunks."""
    return delta_flops(spec.shape, spec.shape.d, spec.number("chunk"), channels=True)


def flops_step(spec: Spec) -> int:
    """6 d d_v a head."""
    return spec.shape.batch * spec.shape.heads * 6 * spec.shape.d * spec.shape.d_v
