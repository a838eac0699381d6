"""Differential attention: a part of a second softmax map is taken from the first (Ye et al. 2025, equations 1 to 3)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attnprof.contracts import Spec
from attnprof.errors import Unsupported
from attnprof.layers.attention import dtype_of
from attnprof.layers.kv_cache import KVCache, cached, read_with, row_weights, weighted
from attnprof.layers.softmax import hide

NEARLY_ZERO = 1e-5  # what the normalisation adds to a mean square


class Core(nn.Module):
    """`q, k, v [b, h, n, d]` to `[b, h, n, d]`: heads 2 a and 2 a + 1 are one pair, with values of width 2 d."""

    hidden: Tensor | None

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.shape = shape = spec.shape
        if shape.heads % 2:
            raise Unsupported("differential attention pairs its heads", hint="an even number: --heads 8")
        later = torch.ones(shape.n, shape.n, dtype=torch.bool).triu(1) if shape.causal else None
        self.register_buffer("hidden", later, persistent=False)
        self.layer, self.causal = spec.layer, shape.causal
        self.at_start = 0.8 - 0.6 * math.exp(-0.3 * spec.layer)
        self.q_lambda, self.k_lambda = (nn.Parameter(0.1 * torch.randn(2, shape.d)) for _ in range(2))
        self.gain = nn.Parameter(torch.ones(2 * shape.d))

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
        if self.hidden is not None:
            hide(scores, self.hidden)
        return self.normed(self.difference(scores.softmax(-1)) @ wide(v))

    def reference(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Pair by pair: (A_1 - lambda A_2) [v_1, v_2], its mean square normalised, times gain (1 - lambda_init)."""
        place = q.new_ones(q.shape[2]).cumsum(0)
        start = 0.8 - 0.6 * math.exp(-0.3 * self.layer)
        products = torch.einsum("cd,cd->c", self.q_lambda, self.k_lambda).exp()
        share, found = products[0] - products[1] + start, []
        for first in range(0, q.shape[1], 2):
            pair = []
            for head in (first, first + 1):
                scores = torch.einsum("bid,bjd->bij", q[:, head], k[:, head]) / q.shape[-1] ** 0.5
                later = (place > place[:, None]) & self.causal
                pair.append(scores.masked_fill(later, -torch.inf).softmax(-1))
            mixed = torch.cat([(pair[0] - share * pair[1]) @ v[:, head] for head in (first, first + 1)], -1)
            size = (mixed.square().mean(-1, keepdim=True) + 1e-5).sqrt()
            found += list((mixed / size * self.gain * (1 - start)).split(q.shape[-1], -1))
        return torch.stack(found, 1)

    @property
    def share(self) -> Tensor:
        """Lambda: exp(q_1 k_1) - exp(q_2 k_2) + lambda_init."""
        first, second = (self.q_lambda * self.k_lambda).sum(-1).exp()
        return first - second + self.at_start

    def difference(self, weights: Tensor) -> Tensor:
        """The maps `[b, h, ...]` of both heads of each pair as one, `[b, h / 2, ...]`."""
        return weights[:, ::2] - self.share * weights[:, 1::2]

    def normed(self, mixed: Tensor) -> Tensor:
        """`[b, h / 2, n, 2 d]`, normalised, as heads again, `[b, h, n, d]`."""
        scaled = F.rms_norm(mixed, mixed.shape[-1:], self.gain, NEARLY_ZERO) * (1 - self.at_start)
        return scaled.unflatten(-1, (2, -1)).transpose(2, 3).flatten(1, 2)

    def state(self, n: int) -> KVCache:
        """Keys and values of n tokens, of random content: 2 n D numbers a sequence."""
        shape = self.shape
        k = torch.randn(shape.batch, shape.heads, n, shape.d, dtype=dtype_of(shape))
        return self.prefill(k, k, torch.randn_like(k))

    def prefill(self, q: Tensor, k: Tensor, v: Tensor) -> KVCache:
        """The state after the tokens `k, v [b, h, n, d]`; values lie as pairs, `[b, h / 2, n, 2 d]`."""
        return cached(k, wide(v))

    def step(self, q: Tensor, k: Tensor, v: Tensor, state: KVCache) -> tuple[Tensor, KVCache]:
        """One token more, or several, over all the keys: 4 (n + 1) d FLOPs a head."""
        reads = read_with(state, k, wide(v))
        weights = self.difference(row_weights(q * q.shape[-1] ** -0.5, reads.keys, hidden=reads.hidden))
        return self.normed(weighted(weights, reads.values, weights.shape[1])), reads.cache


def wide(v: Tensor) -> Tensor:
    """Values of both heads of each pair side by side: `[b, h, n, d]` as `[b, h / 2, n, 2 d]`."""
    return v.unflatten(1, (-1, 2)).transpose(2, 3).flatten(3)


def flops_core(spec: Spec) -> int:
    """4 n^2 d a head, as of dense attention: two maps of a pair, one product with values of width 2 d."""
    return 4 * spec.shape.batch * spec.shape.heads * spec.shape.d * spec.shape.n**2
