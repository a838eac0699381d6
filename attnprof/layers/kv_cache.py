"""Keys and values that decoding keeps: all of them, or a ring of the last ones; and new queries over them."""

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


def decode_step(
    q: Tensor, k: Tensor, v: Tensor, cache: KVCache, stride: int = 1, sink: Tensor | None = None
) -> tuple[Tensor, KVCache]:
    """`q [b, h, r, d]` over the cache and their own `k, v [b, g, r, d]`: the mixed rows, and the cache with them.

    With a ring, of the last `ring` tokens every `stride`-th, the newest first. `sink` as in `row_weights`.
    """
    reads = read_with(cache, k, v, stride)
    return mixed_row(q, reads.keys, reads.values, sink, reads.hidden), reads.cache


class NewReads(NamedTuple):
    """What new tokens read, keys and values in pieces `[b, g, rows, d]`, and the cache with them.

    `hidden [r, keys]`: of which each reads none; None where all read all.
    """

    keys: list[Tensor]
    values: list[Tensor]
    hidden: Tensor | None
    cache: KVCache


def read_with(cache: KVCache, k: Tensor, v: Tensor, stride: int = 1) -> NewReads:
    """What the tokens `k, v [b, g, r, d]` read of the cache and of one another: one pass over what is kept."""
    if k.shape[2] > 1:
        keys, values = pieces(cache)
        return NewReads([*keys, k], [*values, v], unread(cache, k.shape[2], stride, k.device), appended(cache, k, v))
    cache = appended(cache, k, v)
    keys, values = pieces(cache)
    if stride > 1:
        read = _every(stride, cache, k.device)
        keys, values = [keys[0].index_select(2, read)], [values[0].index_select(2, read)]
    return NewReads(keys, values, None, cache)


def unread(cache: KVCache, rows: int, stride: int, device: torch.device) -> Tensor:
    """Which kept tokens, and which of one another, so many new ones do not read: `[rows, kept + rows]`."""
    kept = torch.arange(rows_of(cache), device=device)
    if cache.ring is not None and len(kept) == cache.ring:
        kept = cache.n - 1 - (cache.n - 1 - kept) % cache.ring
    new = cache.n + torch.arange(rows, device=device)
    lag = new[:, None] - torch.cat([kept, new])
    hidden = lag < 0
    if cache.ring is not None:
        hidden |= lag >= cache.ring
    return hidden | (lag % stride != 0) if stride > 1 else hidden


def rows_of(cache: KVCache) -> int:
    """Tokens that the cache holds."""
    return cache.n if cache.ring is None else cache.k.shape[2]


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


def mixed_row(
    q: Tensor, keys: list[Tensor], values: list[Tensor], sink: Tensor | None = None, hidden: Tensor | None = None
) -> Tensor:
    """One softmax of each of `q [b, h, r, d]` over keys and values in several pieces `[b, g, rows, d]`."""
    return weighted(row_weights(q * q.shape[-1] ** -0.5, keys, sink, hidden), values, q.shape[1])


def row_weights(
    q: Tensor, keys: list[Tensor], sink: Tensor | None = None, hidden: Tensor | None = None, added: Tensor | None = None
) -> Tensor:
    """Softmax of scaled `q [b, h, r, d]` over keys in several pieces `[b, g, rows, d]`: `[b, g, h / g * r, keys]`.

    `sink [h]`: the score of a key without a value, which takes its share of the weight. `hidden [r, keys]`: pairs that
    are none. `added [b, h, r, keys]`: what a score has besides.
    """
    rows, groups = q.shape[2], keys[0].shape[1]
    folded = q.unflatten(1, (groups, -1)).flatten(2, 3)
    scores = torch.cat([folded @ piece.transpose(-2, -1) for piece in keys], -1)
    if added is not None:
        scores = scores + added.unflatten(1, (groups, -1)).flatten(2, 3)
    if hidden is not None:
        scores = scores.unflatten(2, (-1, rows)).masked_fill(hidden, float("-inf")).flatten(2, 3)
    if sink is None:
        return scores.softmax(-1)
    column = sink.to(q.dtype).view(groups, -1, 1, 1).expand(-1, -1, rows, -1).flatten(1, 2)
    return torch.cat([scores, column.expand(len(q), -1, -1, -1)], -1).softmax(-1)[..., :-1]


def mixed_each(q: Tensor, keys: Tensor, values: Tensor, hidden: Tensor | None = None) -> Tensor:
    """One softmax of each of `q [b, h, r, d]` over keys of its own, `[b, g, r, c, d]`: `[b, h, r, d]`.

    `hidden` broadcasts to `[b, g, r, h / g, c]`, True where there is no key; a row without any gives 0.
    """
    by_row = (q * q.shape[-1] ** -0.5).unflatten(1, (keys.shape[1], -1)).transpose(2, 3)
    scores = by_row @ keys.transpose(-2, -1)
    if hidden is None:
        weights = scores.softmax(-1)
    else:
        weights = scores.masked_fill(hidden, float("-inf")).softmax(-1).masked_fill(hidden, 0.0)
    return (weights @ values).transpose(2, 3).flatten(1, 2)


def weighted(weights: Tensor, values: list[Tensor], heads: int) -> Tensor:
    """Values in several pieces `[b, g, rows, d]` by their weights `[b, g, h / g * r, keys]`: `[b, h, r, d]`."""
    shares = weights.split([piece.shape[2] for piece in values], -1)
    mixed = shares[0] @ values[0]
    for share, piece in zip(shares[1:], values[1:], strict=True):
        mixed = mixed + share @ piece
    each = heads // weights.shape[1]
    return unfold(mixed, each, weights.shape[2] // each)


def appended(cache: KVCache, k: Tensor, v: Tensor) -> KVCache:
    """The cache with these tokens more, written in place where there is room for them, one at a time in a ring."""
    if cache.ring is not None:
        return _in_ring(cache, k, v, cache.ring)
    more, used = k.shape[2], cache.n - cache.k.shape[2]
    if cache.tail_k is None or cache.tail_v is None:
        tail_k, tail_v = (x.new_empty(*x.shape[:2], max(TAIL, more), x.shape[3]) for x in (k, v))
        cache = cache._replace(tail_k=tail_k, tail_v=tail_v)
    elif used + more > cache.tail_k.shape[2]:
        keys, values = pieces(cache)
        return appended(KVCache(torch.cat(keys, 2), torch.cat(values, 2), cache.n), k, v)
    for tail, new in ((cache.tail_k, k), (cache.tail_v, v)):
        assert tail is not None
        tail.narrow(2, used, more).copy_(new)
    return cache._replace(n=cache.n + more)


def _in_ring(cache: KVCache, k: Tensor, v: Tensor, ring: int) -> KVCache:
    more = k.shape[2]
    if cache.k.shape[2] < ring:
        return cached(torch.cat([cache.k, k], 2), torch.cat([cache.v, v], 2), ring)
    if more == 1:
        for kept, new in ((cache.k, k), (cache.v, v)):
            kept.narrow(2, cache.n % ring, 1).copy_(new)
        return cache._replace(n=cache.n + 1)
    last = min(more, ring)
    at = torch.arange(cache.n + more - last, cache.n + more, device=k.device) % ring
    kept_k, kept_v = (old.index_copy(2, at, new[:, :, more - last :]) for old, new in ((cache.k, k), (cache.v, v)))
    return KVCache(kept_k, kept_v, cache.n + more, ring)


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
        """One token more, or several, over all the keys: 4 (n + 1) d FLOPs a head and token."""
        return decode_step(q, k, v, state)
