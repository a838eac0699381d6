"""PaTH: a softmax over keys that every token between them and the query reflects (Yang et al. 2025)."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from attnprof import impl
from attnprof.contracts import Spec
from attnprof.layers.attention import dtype_of, random_streams, split_heads
from attnprof.layers.chunk_scan import chunk_size, in_chunks, substituted
from attnprof.layers.in_turn import in_turn
from attnprof.layers.recurrent import RecurrentLayer, ShortConv, StateProjections, Streams, low_rank, unit
from attnprof.layers.rewriting import rewriting_flops, rewritten

RANK = 32


class RewrittenCache(NamedTuple):
    """Keys as the last token left them, and values, `[b, h, n, d]`."""

    k: Tensor
    v: Tensor


class Core(nn.Module):
    """`q, k, w [b, h, n, d]`, w of length 1, `v [b, h, n, d_v]`, `beta [b, h, n, 1]` in (0, 2)."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.shape, self.chunk = spec.shape, spec.number("chunk")

    def forward(self, q: Tensor, k: Tensor, v: Tensor, w: Tensor, beta: Tensor) -> Tensor:
        n = q.shape[2]
        q, k, w, beta = in_chunks(self.chunk, q, k, w, beta)
        turned, through, keys = self._within(k, w, beta)
        on_w = (q @ w.mT).tril()
        own = (q @ k.mT).tril() - on_w @ through
        scores = rewritten(q - on_w @ turned, keys, w.mT @ turned, own).flatten(4, 5).flatten(2, 3)[:, :, :n, :n]
        future = torch.ones(n, n, dtype=torch.bool, device=v.device).triu(1)
        return (scores * q.shape[-1] ** -0.5).masked_fill(future, float("-inf")).softmax(-1) @ v

    def _within(self, k: Tensor, w: Tensor, beta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of a chunk: T beta W, T times the products of beta W with earlier keys, and the keys at its end."""
        shares = beta * w
        right = torch.cat([shares, (shares @ k.mT).tril(-1)], -1)
        turned, through = substituted(shares @ w.mT, right).split([k.shape[-1], k.shape[-2]], -1)
        return turned, through, k - through.mT @ w

    def reference(self, q: Tensor, k: Tensor, v: Tensor, w: Tensor, beta: Tensor) -> Tensor:
        """Score by score, lag by lag: q_i, reflected by i, i - 1, ... down to j + 1, times k_j."""
        n, moved, columns = q.shape[2], q / q.shape[-1] ** 0.5, []
        for lag in range(n):
            key, mirror, share = (x[:, :, : n - lag] for x in (k, w, beta))
            columns.append(torch.nn.functional.pad((moved * key).sum(-1), (lag, 0), value=float("-inf")))
            moved = (moved - share * (moved * mirror).sum(-1, keepdim=True) * mirror)[:, :, 1:]
        weights = torch.stack(columns, -1).softmax(-1)
        lags = torch.arange(n, device=q.device)[:, None] - torch.arange(n, device=q.device)
        picked = weights.gather(-1, lags.clamp(min=0).expand_as(weights)).tril()
        return torch.einsum("bhij,bhjd->bhid", picked, v)

    def state(self, n: int) -> RewrittenCache:
        """Keys and values of n tokens, of random content."""
        _, k, v = random_streams(self.shape.replace(n=n))
        return RewrittenCache(k, v)

    def prefill(self, q: Tensor, k: Tensor, v: Tensor, w: Tensor, beta: Tensor) -> RewrittenCache:
        """The state after these tokens: every key reflected by all that follow, chunk by chunk."""
        if not k.shape[2]:
            return RewrittenCache(k, v)
        n = k.shape[2]
        k, w, beta = in_chunks(self.chunk, k, w, beta)
        turned, _, keys = self._within(k, w, beta)
        across, done = w.mT @ turned, keys[:, :, :0].flatten(2, 3)
        for chunk in range(k.shape[2]):
            done = torch.cat([done - done @ across[:, :, chunk].mT, keys[:, :, chunk]], 2)
        return RewrittenCache(done[:, :, :n], v)

    @in_turn()
    def step(self, q: Tensor, k: Tensor, v: Tensor, w: Tensor, beta: Tensor, state: RewrittenCache) -> Any:
        """One token more: it reflects every cached key, joins them, and reads."""
        old = state.k - (state.k @ w.mT) @ (beta * w)
        keys, values = torch.cat([old, k], 2), torch.cat([state.v, v], 2)
        weights = ((q * q.shape[-1] ** -0.5) @ keys.mT).softmax(-1)
        return weights @ values, RewrittenCache(keys, values)


class Projections(StateProjections[Tensor]):
    """q, k, v; w through 32 numbers and a convolution over three tokens, at length 1; beta = 2 sigmoid(x W_b)."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        shape, keys = spec.shape, spec.shape.heads * spec.shape.d
        self.heads = shape.heads
        self.to_q, self.to_k = (nn.Linear(shape.dim, keys, bias=False) for _ in range(2))
        self.to_v = nn.Linear(shape.dim, shape.heads * shape.d_v, bias=False)
        self.to_w, self.conv = low_rank(shape.dim, keys, RANK), ShortConv(keys, 3)
        self.to_beta = nn.Linear(shape.dim, shape.heads)

    def forward(self, x: Tensor, kept: Tensor | None = None) -> tuple[Streams, Tensor]:
        mixed, tail = self.conv(self.to_w(x), kept)
        q, k, v, w = (split_heads(y, self.heads) for y in (self.to_q(x), self.to_k(x), self.to_v(x), mixed))
        return (q, k, v, unit(w), 2 * self.to_beta(x).sigmoid().mT.unsqueeze(-1)), tail


class AsItIs(nn.Module):
    """No norm and no gate."""

    def forward(self, mixed: Tensor, x: Tensor, *streams: Tensor) -> Tensor:
        return mixed


class Layer(RecurrentLayer):
    """Its projections around the core."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec.shape, Projections(spec), impl.core(spec), AsItIs())


def streams(spec: Spec) -> tuple[Tensor, ...]:
    """Random inputs of the core."""
    q, k, v = random_streams(spec.shape)
    return q, k, v, unit(torch.randn_like(k)), 2 * torch.rand(*k.shape[:3], 1, dtype=dtype_of(spec.shape))


def flops_core(spec: Spec) -> int:
    """A row and head 13 C d + 3 C^2 + 2 d^2 within its chunk; of values 2 n^2 d_v.

    Between N chunks N (N - 1) C^2 d for scores and (N - 1) (N - 2) C d^2 to rewrite queries: about n^2 (d + d^2 / C).
    """
    shape, d = spec.shape, spec.shape.d
    size = chunk_size(spec.number("chunk"), shape.n)
    chunks = -(-shape.n // size)
    within = chunks * size * (13 * size * d + 3 * size * size + 2 * d * d)
    every = within + sum(rewriting_flops(chunks, size, d)) + 2 * shape.n * shape.n * shape.d_v
    return shape.batch * shape.heads * every
