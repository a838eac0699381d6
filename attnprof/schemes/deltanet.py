"""DeltaNet: a state that replaces what a key stored before (Yang et al. 2024, Parallelizing Linear Transformers)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from attnprof import impl
from attnprof.contracts import Spec
from attnprof.layers.attention import random_streams, split_heads
from attnprof.layers.recurrence_definition import delta_by_token
from attnprof.layers.recurrent import GatedNorm, RecurrentLayer, ShortConv, StateProjections, Streams, unit
from attnprof.layers.state_core import DeltaCore, delta_flops


class Core(DeltaCore):
    """`q, k [b, h, n, d]` with k of length 1, `v [b, h, n, d_v]`, `beta [b, h, n, 1]` in (0, 1)."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec, spec.shape.d)

    def reference(self, q: Tensor, k: Tensor, v: Tensor, beta: Tensor) -> Tensor:
        """S_t = S_(t-1) (I - beta_t k_t k_t^T) + beta_t v_t k_t^T, o_t = S_t q_t / sqrt(d) (section 2.2)."""
        return delta_by_token(q / q.shape[-1] ** 0.5, k, v, beta, torch.zeros_like(beta))


class Projections(StateProjections[Tensor]):
    """q, k, v through a short convolution and SiLU, q and k at length 1; beta = sigmoid(x W_b) (section 3.4)."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        shape, keys = spec.shape, spec.shape.heads * spec.shape.d
        self.heads, self.sizes = shape.heads, [keys, keys, shape.heads * shape.d_v]
        self.to_qkv = nn.Linear(shape.dim, sum(self.sizes), bias=False)
        self.conv = ShortConv(sum(self.sizes), spec.number("conv"))
        self.to_beta = nn.Linear(shape.dim, shape.heads, bias=False)

    def forward(self, x: Tensor, kept: Tensor | None = None) -> tuple[Streams, Tensor]:
        mixed, tail = self.conv(self.to_qkv(x), kept)
        q, k, v = (split_heads(part, self.heads) for part in mixed.split(self.sizes, -1))
        return (unit(q), unit(k), v, self.to_beta(x).sigmoid().mT.unsqueeze(-1)), tail


class Layer(RecurrentLayer):
    """An RMS norm of every head, and no gate (section 3.4)."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec.shape, Projections(spec), impl.core(spec), GatedNorm(spec.shape, rank=None))


def streams(spec: Spec) -> tuple[Tensor, ...]:
    """Random inputs of the core."""
    q, k, v = random_streams(spec.shape)
    return unit(q), unit(k), v, torch.rand_like(v[..., :1])


def flops_core(spec: Spec) -> int:
    """4 C d (k on k, q on k) + C (d + d_v) (substitution) + 2 C d_v + 6 d d_v a row and head, rows in whole chunks."""
    return delta_flops(spec.shape, spec.shape.d, spec.number("chunk"))


def flops_step(spec: Spec) -> int:
    """6 d d_v a head: what the key stored is read, the difference written, the query reads."""
    return spec.shape.batch * spec.shape.heads * 6 * spec.shape.d * spec.shape.d_v
