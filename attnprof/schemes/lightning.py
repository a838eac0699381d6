"""Lightning attention: linear attention that fades at a fixed rate, block by block (Qin et al. 2024; MiniMax 2025)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from attnprof import impl
from attnprof.contracts import Spec
from attnprof.layers.attention import QKV
from attnprof.layers.recurrence_definition import by_token
from attnprof.layers.recurrent import JoinedNorm, RecurrentLayer, Streams
from attnprof.layers.state_core import ConstantDecayCore, decay_flops


class Core(ConstantDecayCore):
    """`q, k [b, h, n, d]`, `v [b, h, n, d_v]`; lambda = exp(-2^(-8 (head + 1) / heads)), no scale."""

    def __init__(self, spec: Spec) -> None:
        heads = spec.shape.heads
        super().__init__(spec, [-(2.0 ** (-8.0 * head / heads)) for head in range(1, heads + 1)], 1.0, "block")

    def reference(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """kv_t = lambda kv_(t-1) + k_t^T v_t, o_t = q_t kv_t (Qin et al. 2024, equation 4)."""
        slopes = [-(2 ** (-8 * (head + 1) / q.shape[1])) for head in range(q.shape[1])]
        rates = q.new_tensor(slopes)[None, :, None, None].expand(1, -1, q.shape[2], 1)
        return by_token(q, k, v, rates)


class Projections(QKV):
    """q, k, v of `x [b, n, D]`, each through SiLU."""

    def forward(self, x: Tensor, kept: object = None) -> tuple[Streams, None]:  # type: ignore[override]
        return tuple(map(F.silu, super().forward(x))), None


class Layer(RecurrentLayer):
    """The layer of MiniMax-01 (section 2.2): an RMS norm over all heads, times sigmoid(x W_g)."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(
            spec.shape, Projections(spec.shape), impl.core(spec), JoinedNorm(spec.shape, torch.sigmoid, inside=False)
        )


def flops_core(spec: Spec) -> int:
    """2 B (d + d_v) + 4 d d_v a row and head, rows in whole blocks of B."""
    return decay_flops(spec.shape, spec.shape.d, spec.number("block"))


def flops_step(spec: Spec) -> int:
    """4 d d_v a head."""
    return spec.shape.batch * spec.shape.heads * 4 * spec.shape.d * spec.shape.d_v
