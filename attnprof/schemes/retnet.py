"""Retention: keys fade at a fixed rate for each head (Sun et al. 2023, sections 2.1 to 2.3)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attnprof import impl
from attnprof.contracts import Spec
from attnprof.layers.attention import QKV
from attnprof.layers.recurrence_definition import by_token
from attnprof.layers.recurrent import EPSILON, GatedNorm, RecurrentLayer, Streams
from attnprof.layers.rotation import rotated
from attnprof.layers.state_core import ConstantDecayCore, decay_flops


class Core(ConstantDecayCore):
    """`q, k [b, h, n, d]`, `v [b, h, n, d_v]` by chunks; gamma = 1 - 2^(-5 - head)."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec, [math.log1p(-(2.0 ** (-5 - head))) for head in range(spec.shape.heads)])

    def reference(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """S_n = gamma S_(n-1) + k_n^T v_n, o_n = q_n S_n / sqrt(d) (equation 6)."""
        head = torch.arange(q.shape[1], dtype=q.dtype, device=q.device)
        gamma = (1 - 2 ** (-5 - head))[None, :, None, None].expand(1, -1, q.shape[2], 1)
        return by_token(q / q.shape[-1] ** 0.5, k, v, gamma.log())


class Projections(QKV):
    """q, k, v of `x [b, n, D]`, q and k rotated by position: xPos without its decay, which gamma is."""

    def forward(self, x: Tensor, kept: int | None = None) -> tuple[Streams, int]:  # type: ignore[override]
        q, k, v = super().forward(x)
        first = kept or 0
        return (rotated(q, first), rotated(k, first), v), first + x.shape[1]


class HeadNorm(nn.Module):
    """A group norm with a group a head, which takes any factor of a row away (equation 8)."""

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], eps=EPSILON)


class Layer(RecurrentLayer):
    """W_O (swish(x W_G) * GroupNorm(retention(x))) (equation 9)."""

    def __init__(self, spec: Spec) -> None:
        shape = spec.shape
        super().__init__(shape, Projections(shape), impl.core(spec), GatedNorm(shape, norm=HeadNorm()))


def flops_core(spec: Spec) -> int:
    """2 C (d + d_v) + 4 d d_v a row and head, rows in whole chunks of C."""
    return decay_flops(spec.shape, spec.shape.d, spec.number("chunk"))


def flops_step(spec: Spec) -> int:
    """4 d d_v a head: a product into the state, and one out of it."""
    return spec.shape.batch * spec.shape.heads * 4 * spec.shape.d * spec.shape.d_v
