"""RWKV-7: a state that fades by channels and is corrected along a key of its own (Peng et al. 2025, Goose)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attnprof import impl
from attnprof.contracts import Spec
from attnprof.layers.attention import random_streams, split_heads
from attnprof.layers.chunk_scan import carry, chunk_size, dplr, dplr_terms, in_chunks, wide
from attnprof.layers.recurrence_definition import by_token
from attnprof.layers.recurrent import RecurrentLayer, StateProjections, Streams, low_rank, unit
from attnprof.layers.state_core import StateCore

SLOWEST = math.exp(-0.5)


class Core(StateCore):
    """`r, k, removal, rate, g [b, h, n, d]`, removal of length 1, rate in (0, 1), g log gates; `v [b, h, n, d_v]`."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec, spec.shape.d, 1.0)

    def forward(self, r: Tensor, k: Tensor, v: Tensor, removal: Tensor, rate: Tensor, g: Tensor) -> Tensor:
        parts = in_chunks(self.chunk, r, k, v, -removal, removal * rate, wide(g))
        return dplr(*parts).flatten(2, 3)[:, :, : r.shape[2]]

    def reference(self, r: Tensor, k: Tensor, v: Tensor, removal: Tensor, rate: Tensor, g: Tensor) -> Tensor:
        """S_t = S_(t-1) (diag(w_t) - kappa_t^T (a_t * kappa_t)) + v_t^T k_t, read by r (equation 17)."""
        return by_token(r, k, v, g, -removal, removal * rate)

    def prefill(self, r: Tensor, k: Tensor, v: Tensor, removal: Tensor, rate: Tensor, g: Tensor) -> Tensor:
        """The state after these tokens."""
        if not r.shape[2]:
            return torch.zeros_like(self.state(0))
        parts = in_chunks(self.chunk, *map(wide, (r, k, v, -removal, removal * rate, g)))
        return carry.corrected(*dplr_terms(*parts).carried)[0][:, :, -1]

    def token(self, state: Tensor, *streams: Tensor) -> tuple[Tensor, Tensor]:
        r, k, v, removal, rate, g = map(wide, streams)
        corrected = (removal * rate).mT @ (-removal @ state)
        state = g.exp().mT * state + corrected + k.mT @ v
        return r @ state, state


class Projections(StateProjections[Tensor]):
    """Six mixtures of every token with the one before, and what is made of them (equations 3 to 14)."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        shape, keys, values = spec.shape, spec.shape.heads * spec.shape.d, spec.shape.heads * spec.shape.d_v
        small, large = (rank(shape.dim, factor) for factor in (2.5, 5))
        self.heads = shape.heads
        self.mix = nn.Parameter(torch.rand(6, shape.dim))
        self.to_r, self.to_k = (nn.Linear(shape.dim, keys, bias=False) for _ in range(2))
        self.to_v = nn.Linear(shape.dim, values, bias=False)
        self.to_decay = nn.Sequential(nn.Linear(shape.dim, small, bias=False), nn.Tanh(), nn.Linear(small, keys))
        self.to_rate = low_rank(shape.dim, keys, small, bias=True)
        self.to_gate = nn.Sequential(
            nn.Linear(shape.dim, large, bias=False), nn.Sigmoid(), nn.Linear(large, values, bias=False)
        )
        self.removal, self.replaced = (nn.Parameter(torch.rand(keys)) for _ in range(2))

    def forward(self, x: Tensor, kept: Tensor | None = None) -> tuple[Streams, Tensor]:
        last = x.new_zeros(x.shape[0], 1, x.shape[2]) if kept is None else kept
        before = torch.cat([last, x], 1)
        for_r, for_w, for_k, for_v, for_a, for_g = (x + (before[:, :-1] - x) * mix for mix in self.mix)
        k, rate = self.to_k(for_k), self.to_rate(for_a).sigmoid()
        g = -SLOWEST * self.to_decay(for_w).sigmoid()
        removal = unit(split_heads(k * self.removal, self.heads))
        k = k * (1 + (rate - 1) * self.replaced)
        r, k, v, rate, g, gate = (
            split_heads(y, self.heads) for y in (self.to_r(for_r), k, self.to_v(for_v), rate, g, self.to_gate(for_g))
        )
        return (r, k, v, removal, rate, g, gate), before[:, -1:].clone()


class Bonus(nn.Module):
    """A group norm of every head, what the token's own key gives once more, and the gate (equations 20 to 22)."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        shape = spec.shape
        self.weight = nn.Parameter(torch.ones(shape.heads, 1, shape.d_v))
        self.bias = nn.Parameter(torch.zeros(shape.heads, 1, shape.d_v))
        self.own = nn.Parameter(torch.rand(shape.heads, 1, shape.d))
        self.epsilon = shape.d_v * 1e-5

    def forward(self, mixed: Tensor, x: Tensor, *streams: Tensor) -> Tensor:
        r, k, v, *_, gate = streams
        normed = F.layer_norm(mixed, mixed.shape[-1:], eps=self.epsilon) * self.weight + self.bias
        return (normed + (r * k * self.own).sum(-1, keepdim=True) * v) * gate


class Layer(RecurrentLayer):
    """Time mixing of a layer above no other: values are not mixed with those of layer 0."""

    beside = 1

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec.shape, Projections(spec), impl.core(spec), Bonus(spec))


def rank(dim: int, factor: float) -> int:
    """Width of a bottleneck: `factor` sqrt(D) in whole 32s, 32 at least.

    What the authors' training code suggests; another version of it has 1.8 sqrt(D), and 0.6 D^0.8 for the gate.
    """
    return max(32, 32 * round(factor * dim**0.5 / 32))


def streams(spec: Spec) -> tuple[Tensor, ...]:
    """Random inputs of the core."""
    r, k, v = random_streams(spec.shape)
    removal, g = unit(torch.randn_like(k)), -SLOWEST * torch.randn_like(k).sigmoid()
    return r, k, v, removal, torch.rand_like(k), g


def flops_core(spec: Spec) -> int:
    """4 (C - 1) d + C (d + 7 d_v) + 8 d d_v a row and head: r and removal on k and on removal, and so on."""
    shape, d, d_v = spec.shape, spec.shape.d, spec.shape.d_v
    size = chunk_size(spec.number("chunk"), shape.n)
    rows = -(-shape.n // size) * size
    return shape.batch * shape.heads * rows * (4 * (size - 1) * d + size * (d + 7 * d_v) + 8 * d * d_v)


def flops_step(spec: Spec) -> int:
    """8 d d_v a head: removal reads, two products are written, r reads."""
    return spec.shape.batch * spec.shape.heads * 8 * spec.shape.d * spec.shape.d_v
