"""Gated DeltaNet: the delta rule on a state that fades (Yang et al. 2025, sections 3.1 to 3.4)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attnprof import impl
from attnprof.contracts import Spec
from attnprof.errors import Unsupported
from attnprof.layers.attention import dtype_of, split_heads
from attnprof.layers.recurrence_definition import delta_by_token
from attnprof.layers.recurrent import Gate, GatedNorm, RecurrentLayer, ShortConv, StateProjections, Streams, unit
from attnprof.layers.state_core import DeltaCore, delta_flops


class Core(DeltaCore):
    """`q, k [b, key heads, n, d]` with k of length 1, `v [b, h, n, d_v]`, `beta` and log gates g `[b, h, n, 1]`."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec, spec.shape.d)
        if spec.shape.heads % key_heads(spec):
            raise Unsupported(
                f"{key_heads(spec)} key heads do not divide {spec.shape.heads} heads of values",
                hint="--set key_heads=0",
            )

    def reference(self, q: Tensor, k: Tensor, v: Tensor, beta: Tensor, g: Tensor) -> Tensor:
        """S_t = alpha_t S_(t-1) (I - beta_t k_t k_t^T) + beta_t v_t k_t^T, o_t = S_t q_t / sqrt(d) (equation 10)."""
        return delta_by_token(q / q.shape[-1] ** 0.5, k, v, beta, g)


class Projections(StateProjections[Tensor]):
    """q, k, v through a short convolution and SiLU, q and k at length 1; beta and log alpha of every head of values."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        shape, self.key_heads, self.heads = spec.shape, key_heads(spec), spec.shape.heads
        keys = self.key_heads * shape.d
        self.sizes = [keys, keys, shape.heads * shape.d_v]
        self.to_qkv = nn.Linear(shape.dim, sum(self.sizes), bias=False)
        self.conv = ShortConv(sum(self.sizes), spec.number("conv"))
        self.to_beta, self.to_gate = (nn.Linear(shape.dim, shape.heads, bias=False) for _ in range(2))
        self.gate = Gate(shape.heads)

    def forward(self, x: Tensor, kept: Tensor | None = None) -> tuple[Streams, Tensor]:
        mixed, tail = self.conv(self.to_qkv(x), kept)
        q, k, v = mixed.split(self.sizes, -1)
        q, k = (unit(split_heads(y, self.key_heads)) for y in (q, k))
        beta = self.to_beta(x).sigmoid().mT.unsqueeze(-1)
        return (q, k, split_heads(v, self.heads), beta, self.gate(self.to_gate(x))), tail


class Layer(RecurrentLayer):
    """An RMS norm of every head, times SiLU(x W_g) (figure 1)."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec.shape, Projections(spec), impl.core(spec), GatedNorm(spec.shape))


def key_heads(spec: Spec) -> int:
    """Heads of keys: as many as of values, unless told otherwise."""
    return spec.number("key_heads") or spec.shape.heads


def streams(spec: Spec) -> tuple[Tensor, ...]:
    """Random inputs of the core."""
    shape, dtype = spec.shape, dtype_of(spec.shape)
    q, k = (torch.randn(shape.batch, key_heads(spec), shape.n, shape.d, dtype=dtype) for _ in range(2))
    v = torch.randn(shape.batch, shape.heads, shape.n, shape.d_v, dtype=dtype)
    return unit(q), unit(k), v, torch.rand_like(v[..., :1]), F.logsigmoid(torch.randn_like(v[..., :1]) + 3)


def flops_core(spec: Spec) -> int:
    """4 C d a row and head of keys; C (d + d_v) + 2 C d_v + 6 d d_v a row and head of values, in whole chunks."""
    return delta_flops(spec.shape, spec.shape.d, spec.number("chunk"), key_heads=key_heads(spec))


def flops_step(spec: Spec) -> int:
    """6 d d_v a head of values."""
    return spec.shape.batch * spec.shape.heads * 6 * spec.shape.d * spec.shape.d_v
