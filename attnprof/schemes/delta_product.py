"""Gated DeltaProduct: several corrections of the state a token, so that its transition is a product of reflections
(Siems et al. 2025).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attnprof import impl
from attnprof.contracts import Spec
from attnprof.layers.attention import dtype_of, split_heads
from attnprof.layers.chunk_scan import chunk_size, corrected, delta_state, wide
from attnprof.layers.recurrence_definition import delta_by_token
from attnprof.layers.recurrent import Gate, GatedNorm, RecurrentLayer, ShortConv, StateProjections, Streams, unit
from attnprof.layers.scan import chunked
from attnprof.layers.state_core import StateCore


class Core(StateCore):
    """`q [b, h, n, d]`; r corrections side by side, `k [b, h, n, r d]`, `v [b, h, n, r d_v]`, `beta [b, h, n, r]`.

    Log gates `g [b, h, n, 1]`: the state fades once a token, before the first of them.
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec, spec.shape.d)
        self.steps = spec.number("householder")

    def forward(self, q: Tensor, k: Tensor, v: Tensor, beta: Tensor, g: Tensor) -> Tensor:
        size = chunk_size(self.chunk, q.shape[2])
        rest = (chunked(x, size * self.steps) for x in self._apart(k, v, beta, g))
        return corrected(chunked(q, size), *rest).flatten(2, 3)[:, :, : q.shape[2]] * self.scale

    def reference(self, q: Tensor, k: Tensor, v: Tensor, beta: Tensor, g: Tensor) -> Tensor:
        """The delta rule on r tokens for each, of which the last is read (Siems et al. 2025)."""
        r = self.steps
        k, v, beta = (x.reshape(*x.shape[:2], x.shape[2] * r, -1) for x in (k, v, beta))
        first = torch.arange(k.shape[2], device=k.device) % r == 0
        g = torch.where(first[:, None], g.repeat_interleave(r, 2), 0)
        read = (q / q.shape[-1] ** 0.5).repeat_interleave(r, 2)
        return delta_by_token(read, k, v, beta, g)[:, :, r - 1 :: r]

    def prefill(self, q: Tensor, k: Tensor, v: Tensor, beta: Tensor, g: Tensor) -> Tensor:
        """The state after these tokens."""
        if not q.shape[2]:
            return torch.zeros_like(self.state(0))
        size = chunk_size(self.chunk, q.shape[2]) * self.steps
        return delta_state(*(chunked(wide(x), size) for x in self._apart(k, v, beta, g)))

    def token(self, state: Tensor, *streams: Tensor) -> tuple[Tensor, Tensor]:
        q, k, v, beta, g = map(wide, streams)
        k, v, beta = (x.unflatten(-1, (self.steps, -1)).squeeze(2) for x in (k, v, beta))
        state = g.exp() * state
        for key, value, share in zip(*(x.split(1, 2) for x in (k, v, beta)), strict=True):
            state = state + (share * key).mT @ (value - key @ state)
        return (q * self.scale) @ state, state

    def _apart(self, k: Tensor, v: Tensor, beta: Tensor, g: Tensor) -> tuple[Tensor, ...]:
        """Corrections one after the other, `[b, h, r n, ..]`."""
        k, v, beta = (x.unflatten(-1, (self.steps, -1)).flatten(2, 3) for x in (k, v, beta))
        return k, v, beta, wide(F.pad(g, (0, self.steps - 1)).unflatten(-1, (self.steps, 1)).flatten(2, 3))


class Projections(StateProjections[Tensor]):
    """q, and r of k, v, beta a token; convolutions, SiLU, lengths and gates as Gated DeltaNet has them."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        shape, self.steps, keys = spec.shape, spec.number("householder"), spec.shape.heads * spec.shape.d
        self.heads, self.most = shape.heads, 2.0 if spec.params["negative"] else 1.0
        self.sizes = [keys, self.steps * keys, self.steps * shape.heads * shape.d_v]
        self.to_qkv = nn.Linear(shape.dim, sum(self.sizes), bias=False)
        self.conv = ShortConv(sum(self.sizes), spec.number("conv"))
        self.to_beta = nn.Linear(shape.dim, self.steps * shape.heads, bias=False)
        self.to_gate, self.gate = nn.Linear(shape.dim, shape.heads, bias=False), Gate(shape.heads)

    def forward(self, x: Tensor, kept: Tensor | None = None) -> tuple[Streams, Tensor]:
        mixed, tail = self.conv(self.to_qkv(x), kept)
        q, k, v = (split_heads(part, self.heads) for part in mixed.split(self.sizes, -1))
        k = unit(k.unflatten(-1, (self.steps, -1))).flatten(-2)
        beta = self.most * split_heads(self.to_beta(x), self.heads).sigmoid()
        return (unit(q), k, v, beta, self.gate(self.to_gate(x))), tail


class Layer(RecurrentLayer):
    """An RMS norm of every head, times SiLU(x W_g)."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec.shape, Projections(spec), impl.core(spec), GatedNorm(spec.shape))


def streams(spec: Spec) -> tuple[Tensor, ...]:
    """Random inputs of the core."""
    shape, r, dtype = spec.shape, spec.number("householder"), dtype_of(spec.shape)
    size = (shape.batch, shape.heads, shape.n)
    q, k = torch.randn(*size, shape.d, dtype=dtype), unit(torch.randn(*size, r, shape.d, dtype=dtype)).flatten(-2)
    v, beta = torch.randn(*size, r * shape.d_v, dtype=dtype), torch.rand(*size, r, dtype=dtype)
    return unit(q), k, v, beta, F.logsigmoid(torch.randn(*size, 1, dtype=dtype) + 3)


def flops_core(spec: Spec) -> int:
    """2 (r + 1) R d + r R (d + d_v) + 2 R d_v + (4 r + 2) d d_v a token and head, R = r C rows a chunk of C tokens."""
    shape, r = spec.shape, spec.number("householder")
    size = chunk_size(spec.number("chunk"), shape.n)
    tokens, rows, d, d_v = -(-shape.n // size) * size, r * size, shape.d, shape.d_v
    each = 2 * (r + 1) * rows * d + r * rows * (d + d_v) + 2 * rows * d_v + (4 * r + 2) * d * d_v
    return shape.batch * shape.heads * tokens * each


def flops_step(spec: Spec) -> int:
    """(4 r + 2) d d_v a head: r corrections, and what the query reads."""
    shape = spec.shape
    return shape.batch * shape.heads * (4 * spec.number("householder") + 2) * shape.d * shape.d_v
