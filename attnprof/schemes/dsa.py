"""DeepSeek sparse attention: a query reads the tokens that an indexer scores best (DeepSeek-AI 2025, section 2.1)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from attnprof.contracts import Spec
from attnprof.layers.attention import QKV, dtype_of, random_streams
from attnprof.layers.chosen_keys import choice_pairs, choose_keys, read_chosen
from attnprof.layers.decisions import decided
from attnprof.layers.indexer import Indexer, index_scores, projection_flops
from attnprof.layers.kv_cache import KVCache, appended, cached, mixed_each, random_cache, read_with, taken
from attnprof.layers.selecting import selecting
from attnprof.layers.softmax import softmax_attention
from attnprof.words import Level


class Core(nn.Module):
    """`q [b, h, n, d]`, `k, v [b, g, n, d]`; indexer: `q_i [b, H, n, d_I]`, `k_i [b, 1, n, d_I]`, `w [b, H, n, 1]`."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.shape, self.topk, self.width = spec.shape, spec.number("topk"), spec.number("index_dim")

    def forward(self, q: Tensor, k: Tensor, v: Tensor, *index: Tensor) -> Tensor:
        chosen, hidden = decided(lambda: self.choose(*index))
        streams = (x.transpose(1, 2) for x in (q * q.shape[-1] ** -0.5, k, v))
        return read_chosen(*streams, chosen, hidden)[0].transpose(1, 2)  # type: ignore[no-any-return]

    @selecting()
    @torch.no_grad()
    def choose(self, q: Tensor, k: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """The tokens that each query reads `[b, n, topk]`, and which of these it has not seen yet."""
        return choose_keys(q, k[:, 0], weights[..., 0], self.topk, 1)  # type: ignore[no-any-return]

    def reference(self, q: Tensor, k: Tensor, v: Tensor, *index: Tensor) -> Tensor:
        """One masked softmax over the past tokens that fewer than topk of the past beat, by sum_j w_j relu(q_j . k)."""
        q_i, k_i, weights = (x.detach() for x in index)
        place = q.new_ones(q.shape[2]).cumsum(0)
        seen = place <= place[:, None]
        scores = torch.einsum("bhie,bhij->bij", weights, (q_i @ k_i.mT).clamp(min=0))
        rank = scores.masked_fill(~seen, -torch.inf).sort(dim=-1, descending=True, stable=True).indices.argsort(-1)
        return softmax_attention(q, k, v, (seen & (rank < self.topk))[:, None])

    def state(self, n: int) -> tuple[KVCache, KVCache]:
        """Keys and values of n tokens, and their index keys, of random content: d_I numbers more a token."""
        k = torch.randn(self.shape.batch, 1, n, self.width, dtype=dtype_of(self.shape))
        return random_cache(self.shape, n), KVCache(k, k[..., :0], n)

    def prefill(self, q: Tensor, k: Tensor, v: Tensor, *index: Tensor) -> tuple[KVCache, KVCache]:
        """The state after these tokens."""
        return cached(k, v), cached(index[1], index[1][..., :0])

    def step(self, q: Tensor, k: Tensor, v: Tensor, *rest: Any) -> tuple[Tensor, tuple[KVCache, KVCache]]:
        """One token more, or several: 2 H (d_I + 1) a past token to choose, 4 d a chosen one."""
        q_i, k_i, weights, (cache, index) = rest
        cache, reads = appended(cache, k, v), read_with(index, k_i, k_i[..., :0])
        with selecting():
            scores = torch.cat([index_scores(q_i, piece[:, 0], weights[..., 0]) for piece in reads.keys], -1)
            if reads.hidden is not None:
                scores = scores.masked_fill(reads.hidden, float("-inf"))
            best = scores.sort(dim=-1, descending=True, stable=True)
            chosen, hidden = (x[..., : self.topk] for x in (best.indices, best.values == float("-inf")))
        found = taken(cache, chosen.flatten(1)[:, None].expand(-1, k.shape[1], -1))
        keys, values = (x.unflatten(2, chosen.shape[1:]) for x in found)
        unseen = None if reads.hidden is None else hidden[:, None, :, None]
        return mixed_each(q, keys, values, unseen), (cache, reads.cache)


class Projections(nn.Module):
    """Q, K, V of every token, and what the indexer makes of it; no gradient comes to the indexer from the output."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.to_qkv = QKV(spec.shape)
        self.index = Indexer(spec.shape.dim, spec.number("index_heads"), spec.number("index_dim"))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        with selecting(), torch.no_grad():
            index = self.index(x)
        return (*self.to_qkv(x), *index)


def streams(spec: Spec) -> tuple[Tensor, ...]:
    """Random inputs of the core."""
    shape, heads, width = spec.shape, spec.number("index_heads"), spec.number("index_dim")
    sizes = (heads, shape.n, width), (1, shape.n, width), (heads, shape.n, 1)
    return *random_streams(shape), *(torch.randn(shape.batch, *size, dtype=dtype_of(shape)) for size in sizes)


def flops_core(spec: Spec) -> int:
    """4 d a head, query and chosen token; of the first queries, which have fewer, as many."""
    shape = spec.shape
    return 2 * shape.batch * shape.heads * shape.n * spec.number("topk") * (shape.d + shape.d_v)


def flops_selection(spec: Spec) -> int:
    """2 H (d_I + 1) a pair of a stretch of queries and the tokens up to its end; above the core the projections too."""
    shape, heads, width = spec.shape, spec.number("index_heads"), spec.number("index_dim")
    pairs = shape.batch * choice_pairs(shape.batch, heads, shape.n)
    made = 0 if shape.level is Level.CORE else projection_flops(shape.batch * shape.n, shape.dim, heads, width)
    return 2 * heads * (width + 1) * pairs + made
