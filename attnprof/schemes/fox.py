"""Forgetting attention: a softmax whose scores fade by gates that the input sets (Lin et al. 2025, section 3)."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attnprof.contracts import Spec, Written
from attnprof.layers.attention import QKV, dtype_of, random_streams
from attnprof.layers.chunk_scan import wide
from attnprof.layers.flex_kernel import FlexCore
from attnprof.layers.kv_cache import KVCache, cached, random_cache, read_with, row_weights, weighted
from attnprof.layers.softmax import unfold


class FadedCache(NamedTuple):
    """Keys and values, and for each key the log gates of every token after it, `[b, h, n]`, in float32 at least."""

    kv: KVCache
    faded: Tensor


class Core(nn.Module):
    """`q [b, h, n, d]`, `k [b, g, n, d]`, `v [b, g, n, d_v]`, log forget gates `[b, h, n, 1]`."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.shape = spec.shape

    def forward(self, q: Tensor, k: Tensor, v: Tensor, g: Tensor) -> Tensor:
        rows, heads = q.shape[2], q.shape[1] // k.shape[1]
        folded = q.unflatten(1, (k.shape[1], heads)).flatten(2, 3) if heads > 1 else q
        scores = unfold(folded @ (k * q.shape[-1] ** -0.5).mT, heads, rows)
        future = torch.ones(rows, rows, dtype=torch.bool, device=q.device).triu(1)
        # Each sum from the key to the query by itself: the difference of two long sums would have few digits.
        faded = wide(g).expand(-1, -1, -1, rows).tril(-1).cumsum(2)
        weights = (scores + faded).masked_fill(future, float("-inf")).softmax(-1).to(v.dtype)
        weights = weights.unflatten(1, (k.shape[1], heads)).flatten(2, 3) if heads > 1 else weights
        return unfold(weights @ v, heads, rows)

    def reference(self, q: Tensor, k: Tensor, v: Tensor, g: Tensor) -> Tensor:
        """o_i = sum_j F_ij exp(q_i k_j / sqrt(d)) v_j / sum_j the same, F_ij = f_(j+1) ... f_i (section 3)."""
        k, v = (x.repeat_interleave(q.shape[1] // x.shape[1], 1) for x in (k, v))
        scores = torch.einsum("bhid,bhjd->bhij", q, k) / q.shape[-1] ** 0.5
        total = g.squeeze(-1).cumsum(2)
        scores = scores + total[..., :, None] - total[..., None, :]
        past = torch.arange(q.shape[2], device=q.device)
        scores = torch.where(past[:, None] >= past, scores, float("-inf"))
        weights = (scores - scores.amax(-1, keepdim=True)).exp()
        return torch.einsum("bhij,bhjd->bhid", weights / weights.sum(-1, keepdim=True), v)

    def state(self, n: int) -> FadedCache:
        """Keys, values and faded gates of n tokens, of random content: n g (d + d_v) numbers, and n h in float32."""
        shape = self.shape
        gates = torch.randn(shape.batch, shape.heads, n, dtype=dtype_of(shape))
        return FadedCache(random_cache(shape, n), -wide(gates).abs())

    def prefill(self, q: Tensor, k: Tensor, v: Tensor, g: Tensor) -> FadedCache:
        """The state after these tokens."""
        later = F.pad(wide(g).squeeze(-1)[..., 1:], (0, min(1, k.shape[2])))
        return FadedCache(cached(k, v), later.flip(-1).cumsum(-1).flip(-1))

    def step(self, q: Tensor, k: Tensor, v: Tensor, g: Tensor, state: FadedCache) -> tuple[Tensor, FadedCache]:
        """One token more, or several, over all the keys: every one of them fades by its gate."""
        reads, rows, g = read_with(state.kv, k, v), q.shape[2], wide(g).squeeze(-1)
        old = state.faded[:, :, None] + g.cumsum(-1)[..., None]
        new = g[..., None].expand(-1, -1, -1, rows).tril(-1).cumsum(2)
        faded = torch.cat([old, new], -1)
        weights = row_weights(q * q.shape[-1] ** -0.5, reads.keys, hidden=reads.hidden, added=faded).to(v.dtype)
        return weighted(weights, reads.values, q.shape[1]), FadedCache(reads.cache, faded[:, :, -1])


class FusedFox(Core):
    """The same by FlexAttention, which adds the summed gates to every score: no n x n in memory."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.kernel = FlexCore(spec)

    def forward(self, q: Tensor, k: Tensor, v: Tensor, g: Tensor) -> Tensor:
        total = wide(g).squeeze(-1).cumsum(2)
        return self.kernel.scored(q, k, v, lambda score, b, h, i, j: score + total[b, h, i] - total[b, h, j])


class Projections(QKV):
    """q, k, v of `x [b, n, D]`, without positions, and log f = logsigmoid(x W_f + b)."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec.shape)
        self.to_gate = nn.Linear(spec.shape.dim, spec.shape.heads)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, ...]:
        return *super().forward(x, context), F.logsigmoid(self.to_gate(x)).mT.unsqueeze(-1)


def streams(spec: Spec) -> tuple[Tensor, ...]:
    """Random inputs of the core."""
    q, k, v = random_streams(spec.shape)
    return q, k, v, F.logsigmoid(torch.randn_like(q[..., :1]) + 2)


def whole(spec: Spec) -> int:
    """2 n^2 (d + d_v) a head: both products in full, masked or not."""
    shape = spec.shape
    return 2 * shape.batch * shape.heads * shape.n * shape.n * (shape.d + shape.d_v)


WRITTEN = {"eager": Written(Core, whole), "flex": Written(FusedFox)}
