"""Keys and values that decoding keeps: all of them, or a ring of the last ones; and one query over them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from attnprof.layers.attention import dtype_of
from attnprof.layers.softmax import unfold
from attnprof.shapes import Shape

TAIL = 64


class KVCache(NamedTuple):
    """Keys and values `[b, g, rows, d]` of `n` tokens. With `ring` rows at most, token t lies in row t mod ring.

    Without, new tokens go to a tail of 64 rows, which joins the others when it is full: so a step copies no cache.
    """

    k: Tensor
    v: Tensor
    n: int
    ring: int | None = None
    tail_k: Tensor | None = None
    tail_v: Tensor | None = None


def cached(k: Tensor, v: Tensor, ring: int | None = None) -> KVCache:
    """The cache after the tokens `k, v [b, g, n, d]`."""
    n = k.shape[2]
    if ring is None or n <= ring:
        return KVCache(k, v, n, ring)
    order = (torch.arange(ring, device=k.device) - n) % ring + n - ring
    return KVCache(k.index_select(2, order), v.index_select(2, order), n, ring)


def random_cache(shape: Shape, n: int, ring: int | None = None) -> KVCache:
    """A cache of n tokens, of random content."""
    rows = n if ring is None else min(n, ring)
    k, v = (torch.randn(shape.batch, shape.groups, rows, d, dtype=dtype_of(shape)) for d in (shape.d, shape.d_v))
    return KVCache(k, v, n, ring)


def decode_step(q: Tensor, k: Tensor, v: Tensor, cache: KVCache, stride: int = 1) -> tuple[Tensor, KVCache]:
    """`q [b, h, 1, d]` over the cache and its own `k, v [b, g, 1, d]`: the mixed row, and the cache with them.

    With a ring, of the last `ring` tokens every `stride`-th, the newest first.
    """
    cache = appended(cache, k, v)
    keys, values = pieces(cache)
    if stride > 1:
        read = _every(stride, cache, q.device)
        keys, values = [keys[0].index_select(2, read)], [values[0].index_select(2, read)]
    return mixed_row(q, keys, values), cache


def pieces(cache: KVCache) -> tuple[list[Tensor], list[Tensor]]:
    """The keys and the values of a cache as they lie: the old ones, and what of the tail is filled."""
    if cache.tail_k is None or cache.tail_v is None:
        return [cache.k], [cache.v]
    used = cache.n - cache.k.shape[2]
    return [cache.k, cache.tail_k[:, :, :used]], [cache.v, cache.tail_v[:, :, :used]]


def taken(cache: KVCache, index: Tensor) -> tuple[Tensor, Tensor]:
    """Keys and values of the tokens `index [b, g, c]` of a growing cache, `[b, g, c, d]`: nothing else is read."""
    return _rows(cache.k, cache.tail_k, index), _rows(cache.v, cache.tail_v, index)


def _rows(kept: Tensor, tail: Tensor | None, index: Tensor) -> Tensor:
    rows, wide = kept.shape[2], index[..., None].expand(-1, -1, -1, kept.shape[3])
    if tail is None or not rows:
        return (kept if tail is None else tail).gather(2, wide)
    recent = tail.gather(2, (wide - rows).clamp(min=0))
    return torch.where(wide < rows, kept.gather(2, wide.clamp(max=rows - 1)), recent)


def mixed_row(q: Tensor, keys: list[Tensor], values: list[Tensor], sink: Tensor | None = None) -> Tensor:
    """One softmax of `q [b, h, 1, d]` over keys and values in several pieces `[b, g, rows, d]`."""
    return weighted(row_weights(q * q.shape[-1] ** -0.5, keys, sink), values, q.shape[1])


def row_weights(q: Tensor, keys: list[Tensor], sink: Tensor | None = None) -> Tensor:
    """Softmax of a scaled `q [b, h, 1, d]` over keys in several pieces `[b, g, rows, d]`: `[b, g, h / g, keys]`.

    `sink [h]`: the score of a key without a value, which takes its share of the weight.
    """
    folded = q.unflatten(1, (keys[0].shape[1], -1)).flatten(2, 3)
    scores = [folded @ piece.transpose(-2, -1) for piece in keys]
    if sink is None:
        return torch.cat(scores, -1).softmax(-1)
    scores.append(sink.to(q.dtype).view(1, keys[0].shape[1], -1, 1).expand(len(q), -1, -1, -1))
    return torch.cat(scores, -1).softmax(-1)[..., :-1]


def weighted(weights: Tensor, values: list[Tensor], heads: int) -> Tensor:
    """Values in several pieces `[b, g, rows, d]` by their weights `[b, g, h / g, keys]`: `[b, h, 1, d]`."""
    shares = weights.split([piece.shape[2] for piece in values], -1)
    mixed = shares[0] @ values[0]
    for share, piece in zip(shares[1:], values[1:], strict=True):
        mixed = mixed + share @ piece
    return unfold(mixed, heads // weights.shape[1], 1)


def appended(cache: KVCache, k: Tensor, v: Tensor) -> KVCache:
    """The cache with one token more, written in place where there is room for it."""
    if cache.ring is not None:
        return _in_ring(cache, k, v, cache.ring)
    if cache.tail_k is None or cache.tail_v is None:
        tail_k, tail_v = (x.new_empty(*x.shape[:2], TAIL, x.shape[3]) for x in (k, v))
        cache = cache._replace(tail_k=tail_k, tail_v=tail_v)
    elif cache.n - cache.k.shape[2] == TAIL:
        whole = torch.cat([cache.k, cache.tail_k], 2), torch.cat([cache.v, cache.tail_v], 2)
        return appended(KVCache(whole[0], whole[1], cache.n), k, v)
    at = cache.n - cache.k.shape[2]
    for tail, new in ((cache.tail_k, k), (cache.tail_v, v)):
        assert tail is not None
        tail.narrow(2, at, 1).copy_(new)
    return cache._replace(n=cache.n + 1)


def _in_ring(cache: KVCache, k: Tensor, v: Tensor, ring: int) -> KVCache:
    if cache.k.shape[2] < ring:
        return KVCache(torch.cat([cache.k, k], 2), torch.cat([cache.v, v], 2), cache.n + 1, ring)
    for kept, new in ((cache.k, k), (cache.v, v)):
        kept.narrow(2, cache.n % ring, 1).copy_(new)
    return cache._replace(n=cache.n + 1)


def _every(stride: int, cache: KVCache, device: torch.device) -> Tensor:
    """Rows of the newest token, of the one `stride` before it, and so on, as far as the ring holds them."""
    rows = cache.k.shape[2]
    lags = torch.arange(0, rows, stride, device=device)
    return (cache.n - 1 - lags) % rows if rows == cache.ring else cache.n - 1 - lags


class Decoding:
    """Decoding of a core whose every query reads all of the past: `state`, `prefill`, `step` over a growing cache."""

    shape: Shape

    def state(self, n: int) -> KVCache:
        """Keys and values of n tokens, of random content: 2 n g d numbers a sequence."""
        return random_cache(self.shape, n)

    def prefill(self, q: Tensor, k: Tensor, v: Tensor) -> KVCache:
        """The state after the tokens `k, v [b, g, n, d]`."""
        return cached(k, v)

    def step(self, q: Tensor, k: Tensor, v: Tensor, state: KVCache) -> tuple[Tensor, KVCache]:
        """One token more over all the keys: 4 (n + 1) d FLOPs a head."""
        return decode_step(q, k, v, state)
