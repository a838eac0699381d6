"""Adaptively sparse attention: alpha-entmax instead of softmax, alpha learned for each head (Correia et al. 2019)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from attnprof.contracts import Spec
from attnprof.errors import AttnprofError
from attnprof.layers.kv_cache import Decoding, KVCache, read_with
from attnprof.layers.softmax import hide, unfold
from attnprof.layers.threshold import Entmax

HALVINGS, CORRECTIONS = 12, 3  # of the reference: an interval of 2e-4, and steps of Newton that square what is left


class Core(Decoding, nn.Module):
    """`q [b, h, n, d]`, `k, v [b, g, n, d]`; alpha = 1 + sigmoid(a), a `[h]` learned from the alpha given.

    At 2 (sparsemax) and at 1 (softmax), which no sigmoid reaches, alpha stays.
    """

    later: Tensor | None

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.shape, alpha = spec.shape, float(spec.params["alpha"] or 0)
        if not 1 <= alpha <= 2:
            raise AttnprofError(f"entmax.alpha is {alpha:g}", hint="from 1 (softmax) to 2 (sparsemax); default 1.5")
        self.fixed = alpha if alpha in (1, 2) else None
        start = 0.0 if self.fixed else math.log((alpha - 1) / (2 - alpha))
        self.a = None if self.fixed else nn.Parameter(torch.full((spec.shape.heads,), start))
        later = torch.ones(self.shape.n, self.shape.n, dtype=torch.bool).triu(1) if self.shape.causal else None
        self.register_buffer("later", later)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return mixed(self.weights(logits(q, k), self.later), v)

    def reference(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """tau of each row by bisection; its derivative by that of the sum of the weights, which stays 1."""
        k, v = (x.repeat_interleave(q.shape[1] // x.shape[1], 1) for x in (k, v))
        scores = torch.einsum("bhid,bhjd->bhij", q, k) / q.shape[-1] ** 0.5
        place = torch.arange(q.shape[2], device=q.device)
        if self.shape.causal:
            scores = scores.masked_fill(place > place[:, None], -1e9)
        if self.fixed == 1:
            return scores.softmax(-1) @ v
        above = 1 / (1 + torch.exp(-self.a)) if self.a is not None else torch.ones_like(scores[0, :, 0, 0])
        scores, power = scores * above[:, None, None], 1 / above[:, None, None]
        with torch.no_grad():
            high = scores.amax(-1, keepdim=True)
            low, falls = high - 1, torch.ones_like(high)
            for _ in range(HALVINGS):
                tau = (low + high) / 2
                heavy = ((scores - tau).clamp(min=0) ** power).sum(-1, keepdim=True) >= 1
                low, high = torch.where(heavy, tau, low), torch.where(heavy, high, tau)
            for _ in range(CORRECTIONS):
                over = (scores - low).clamp(min=0)
                falls = power * torch.where(over > 0, over ** (power - 1), 0.0).sum(-1, keepdim=True)
                low = low + ((over**power).sum(-1, keepdim=True) - 1) / falls
        tau = low + (((scores - low).clamp(min=0) ** power).sum(-1, keepdim=True) - 1) / falls
        return (scores - tau).clamp(min=0) ** power @ v

    def weights(self, scores: Tensor, hidden: Tensor | None = None) -> Tensor:
        """Of scores `[b, h, rows, m]`, which are masked in place."""
        if hidden is not None:
            hide(scores, hidden)
        if self.fixed == 1:
            return scores.softmax(-1)
        alpha = None if self.a is None else 1 + self.a.sigmoid()[:, None, None]
        return Entmax.apply(scores, alpha)  # type: ignore[no-any-return]

    def step(self, q: Tensor, k: Tensor, v: Tensor, state: KVCache) -> tuple[Tensor, KVCache]:
        """One token more, or several, over all the keys, whose weights are then known to be 0 or not."""
        reads = read_with(state, k, v)
        weights = self.weights(torch.cat([logits(q, held) for held in reads.keys], -1), reads.hidden)
        shares = weights.split([held.shape[2] for held in reads.values], -1)
        mixed_rows = [mixed(share, held) for share, held in zip(shares, reads.values, strict=True)]
        return torch.stack(mixed_rows).sum(0), reads.cache


def logits(q: Tensor, k: Tensor) -> Tensor:
    """q k^T / sqrt(d): `[b, h, n, d]`, `[b, g, m, d]` to `[b, h, n, m]`."""
    heads, rows = q.shape[1] // k.shape[1], q.shape[2]
    folded = q.unflatten(1, (k.shape[1], heads)).flatten(2, 3) if heads > 1 else q
    return unfold(folded @ (k * q.shape[-1] ** -0.5).transpose(-2, -1), heads, rows)


def mixed(weights: Tensor, v: Tensor) -> Tensor:
    """Weights `[b, h, n, m]` times the values of their KV heads `[b, g, m, d]`."""
    heads, rows = weights.shape[1] // v.shape[1], weights.shape[2]
    folded = weights.unflatten(1, (v.shape[1], heads)).flatten(2, 3) if heads > 1 else weights
    return unfold(folded @ v, heads, rows)


def flops_core(spec: Spec) -> int:
    """4 n^2 d a head: every score is needed to know which weights are 0, and those are multiplied too."""
    shape = spec.shape
    return 4 * shape.batch * shape.heads * shape.n**2 * shape.d
