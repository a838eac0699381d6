"""Gated linear attention: each channel of the keys fades as the input says (Yang et al. 2024, sections 4.1 to 4.4)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attnprof import impl
from attnprof.contracts import Spec
from attnprof.layers.attention import dtype_of, split_heads
from attnprof.layers.recurrence_definition import by_token
from attnprof.layers.recurrent import GatedNorm, RecurrentLayer, StateProjections, Streams, low_rank
from attnprof.layers.state_core import DecayCore, decay_flops

TEMPER = 16
RANK = 16


class Core(DecayCore):
    """`q, k, g [b, h, n, d / 2]`, `v [b, h, n, d_v]`, g the log gates of key channels."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec, key_width(spec))

    def reference(self, q: Tensor, k: Tensor, v: Tensor, g: Tensor) -> Tensor:
        """S_t = diag(alpha_t) S_(t-1) + k_t^T v_t, o_t = q_t S_t / sqrt(d_k) (equation 3)."""
        return by_token(q / q.shape[-1] ** 0.5, k, v, g)


class Projections(StateProjections[None]):
    """q, k, v and log alpha, alpha = sigmoid(x W1 W2 + b)^(1 / 16), W1 to 16 numbers (section 4.4)."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        shape, keys = spec.shape, spec.shape.heads * key_width(spec)
        self.heads = shape.heads
        self.to_q, self.to_k = (nn.Linear(shape.dim, keys, bias=False) for _ in range(2))
        self.to_v = nn.Linear(shape.dim, shape.heads * shape.d_v, bias=False)
        self.to_gate = low_rank(shape.dim, keys, RANK, bias=True)

    def forward(self, x: Tensor, kept: None = None) -> tuple[Streams, None]:
        g = F.logsigmoid(self.to_gate(x)) / TEMPER
        return tuple(split_heads(y, self.heads) for y in (self.to_q(x), self.to_k(x), self.to_v(x), g)), None


class Layer(RecurrentLayer):
    """An RMS norm of every head, times swish(x W_r) (section 4.4; the paper norms with LayerNorm)."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec.shape, Projections(spec), impl.core(spec), GatedNorm(spec.shape))


def key_width(spec: Spec) -> int:
    """Half of a head."""
    return max(spec.shape.d // 2, 1)


def streams(spec: Spec) -> tuple[Tensor, ...]:
    """Random inputs of the core."""
    shape = spec.shape
    q, k, g = (torch.randn(shape.batch, shape.heads, shape.n, key_width(spec), dtype=dtype_of(shape)) for _ in range(3))
    v = torch.randn(shape.batch, shape.heads, shape.n, shape.d_v, dtype=dtype_of(shape))
    return q, k, v, F.logsigmoid(g) / TEMPER


def flops_core(spec: Spec) -> int:
    """(C - 1) d_k + 2 C d_v + 4 d_k d_v a row and head: pairs of blocks make half a C x C square of scores."""
    return decay_flops(spec.shape, key_width(spec), spec.number("chunk"), channels=True)


def flops_step(spec: Spec) -> int:
    """4 d_k d_v a head."""
    return spec.shape.batch * spec.shape.heads * 4 * key_width(spec) * spec.shape.d_v
