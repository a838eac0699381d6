"""cosFormer: linear attention with relu features and a cosine of the distance (Qin et al. 2022)."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from attnprof.contracts import Spec
from attnprof.layers.attention import dtype_of
from attnprof.layers.in_turn import in_turn
from attnprof.layers.scan import causal_sums, chunked, read, summed

LEAST = 1e-6  # of the sum of a row's weights


class TurnedSums(NamedTuple):
    """The sum of phi(k_j) [v_j, 1]^T over n tokens, `[b, g, 2 d, d + 1]`, and n: the position of the next one."""

    sums: Tensor
    n: int


class Core(nn.Module):
    """`q [b, h, n, d]`, `k, v [b, g, n, d]`: two products, or, causal, chunks with running sums."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.spec, self.causal, self.chunk = spec, spec.shape.causal, spec.number("chunk")
        self.length = spec.number("length")

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        rows, (q, k) = q.shape[2], (self.phi(x) for x in (q, k))
        if not self.causal:
            return over_sum(read(q, summed(k, v)))
        q, k, v = (chunked(x, self.chunk) for x in (q, k, v))
        return over_sum(causal_sums(q, k, v).flatten(2, 3)[:, :, :rows])

    def reference(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """All weights relu(q_i) relu(k_j) cos(pi (i - j) / (2 M)), masked, applied, over their sum."""
        k, v = (x.repeat_interleave(q.shape[1] // x.shape[1], 1) for x in (k, v))
        place = torch.arange(q.shape[2], device=q.device)
        lag = (place[:, None] - place).to(q.dtype) * (math.pi / 2 / self.length)
        weights = torch.einsum("bhid,bhjd->bhij", q.clamp(min=0), k.clamp(min=0)) * lag.cos()
        weights = weights.masked_fill(place > place[:, None], 0.0) if self.causal else weights
        return weights @ v / weights.sum(-1, keepdim=True).clamp(min=LEAST)

    def phi(self, x: Tensor, first: int = 0) -> Tensor:
        """relu(x) times cosine and sine of its position, of which `first` is that of the first row: `[..., 2 d]`."""
        wide = torch.promote_types(x.dtype, torch.float32)
        place = torch.arange(first, first + x.shape[2], device=x.device)
        angle = place[:, None].to(wide) * (math.pi / 2 / self.length)
        x = x.relu()
        return torch.cat([x * angle.cos().to(x.dtype), x * angle.sin().to(x.dtype)], -1)

    def state(self, n: int) -> TurnedSums:
        """What it keeps of n tokens, of random content: the same size for every n."""
        shape = self.spec.shape
        size = (shape.batch, shape.groups, 2 * shape.d, shape.d + 1)
        return TurnedSums(torch.rand(size, dtype=dtype_of(shape)), n)

    def prefill(self, q: Tensor, k: Tensor, v: Tensor) -> TurnedSums:
        """The state after the tokens `k, v [b, g, n, d]`."""
        return TurnedSums(summed(self.phi(k), v), k.shape[2])

    @in_turn()
    def step(self, q: Tensor, k: Tensor, v: Tensor, state: TurnedSums) -> tuple[Tensor, TurnedSums]:
        """One token more: the state takes it in and is read."""
        sums = state.sums + summed(self.phi(k, state.n), v)
        return over_sum(read(self.phi(q, state.n), sums)), TurnedSums(sums, state.n + 1)


def over_sum(mixed: Tensor) -> Tensor:
    """`[..., d + 1]`, the sum of the weights in the last column, as the weighted mean `[..., d]`."""
    return mixed[..., :-1] / mixed[..., -1:].clamp(min=LEAST)


def flops_core(spec: Spec) -> int:
    """4 n d^2 a KV head, 4 n d (d + 1) a query head, and causal, with n in whole chunks of C, 6 n C d more."""
    shape, d, chunk = spec.shape, spec.shape.d, spec.number("chunk")
    rows = -(-shape.n // chunk) * chunk if shape.causal else shape.n
    near = 6 * rows * chunk * d if shape.causal else 0
    return shape.batch * (shape.heads * (near + 4 * rows * d * (d + 1)) + shape.groups * 4 * rows * d * d)
