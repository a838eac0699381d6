"""Compressed attention of DeepSeek-V4: one vector a token is key and value of all heads, and so is one every m tokens.

A query reads the last tokens one by one and entries of the rest, under one softmax with a learned sink a head.
"""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attnprof.contracts import Spec
from attnprof.layers.attention import Attention, dtype_of, split_heads
from attnprof.layers.kv_cache import KVCache, appended, cached, mixed_row, pieces
from attnprof.layers.partial_softmax import SoftmaxPart, joined, softmax_part
from attnprof.layers.scan import chunked
from attnprof.shapes import Shape


class Compressor(nn.Module):
    """`x [b, n, D]` to an entry for every `rate` tokens, `[b, n // rate, d]`: each channel a mean of their values.

    Its weights are a softmax over the tokens of learned scores and a learned position. With `overlap` an entry mixes
    the tokens of the window before besides, by values and scores of their own.
    """

    def __init__(self, dim: int, width: int, rate: int, overlap: bool) -> None:
        super().__init__()
        self.rate, self.series = rate, 1 + overlap
        self.to_values, self.to_scores = (nn.Linear(dim, self.series * width, bias=False) for _ in range(2))
        self.places = nn.Parameter(0.02 * torch.randn(self.series * rate, width))
        self.norm = nn.RMSNorm(width, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        return self.mixed(self.raw(x))

    def raw(self, x: Tensor) -> Tensor:
        """Values and scores of every token, side by side."""
        return torch.cat([self.to_values(x), self.to_scores(x)], -1)

    def mixed(self, raw: Tensor) -> Tensor:
        """The entries of whole windows; what is left over waits."""
        whole = raw[:, : raw.shape[1] // self.rate * self.rate].unflatten(1, (-1, self.rate))
        values, scores = (x.unflatten(-1, (self.series, -1)).unbind(-2) for x in whole.chunk(2, -1))
        if self.series == 1:
            weights = (scores[0] + self.places).softmax(2)
            return self.norm((weights * values[0]).sum(2))
        older = zip((values[0], scores[0]), (0.0, -torch.inf), strict=True)
        before = [F.pad(x, (0, 0, 0, 0, 1, 0), value=empty)[:, :-1] for x, empty in older]
        both = torch.cat([before[1], scores[1]], 2) + self.places
        return self.norm((both.softmax(2) * torch.cat([before[0], values[1]], 2)).sum(2))

    def waiting(self, n: int) -> int:
        """Tokens whose values and scores a coming entry needs."""
        return n % self.rate + (self.rate if self.series > 1 and n >= self.rate else 0)


class EntryState(NamedTuple):
    """The vectors of the last tokens, the entries so far, and what waits to become one; index keys, and what waits."""

    recent: KVCache
    entries: KVCache
    waiting: Tensor
    indexed: tuple[KVCache, Tensor] | None = None


def started(compressor: Compressor, x: Tensor) -> tuple[KVCache, Tensor]:
    """The entries of the tokens `x [b, n, D]`, and what waits."""
    raw = compressor.raw(x)
    entries = compressor.mixed(raw)[:, None]
    return cached(entries, entries[..., :0]), raw[:, x.shape[1] - compressor.waiting(x.shape[1]) :]


def continued(compressor: Compressor, x: Tensor, entries: KVCache, waiting: Tensor) -> tuple[KVCache, Tensor]:
    """The same with one token more, `x [b, 1, D]`, which may complete an entry."""
    raw = torch.cat([waiting, compressor.raw(x)], 1)
    if raw.shape[1] % compressor.rate:
        return entries, raw
    entry = compressor.mixed(raw)[:, None, -1:]
    kept = compressor.rate if compressor.series > 1 else 0
    return appended(entries, entry, entry[..., :0]), raw[:, raw.shape[1] - kept :]


def random_entries(compressor: Compressor, shape: Shape, width: int, n: int) -> tuple[KVCache, Tensor]:
    """Entries of n tokens, and what waits, of random content."""
    like = compressor.places
    entries = torch.randn(shape.batch, 1, n // compressor.rate, width, dtype=like.dtype, device=like.device)
    waiting = entries.new_zeros(shape.batch, compressor.waiting(n), 2 * compressor.series * width)
    return KVCache(entries, entries[..., :0], n // compressor.rate), waiting


def reach(spec: Spec) -> int:
    """Tokens that a query reads one by one, itself among them."""
    return max(spec.number("window"), 1)


def window_part(q: Tensor, kv: Tensor, size: int) -> SoftmaxPart:
    """Scaled `q [b, h, n, d]` over the last `size` of `kv [b, 1, n, d]`, keys and values: `[b, h, n, d or 1]`."""
    heads, n = q.shape[1:3]
    own = chunked(kv, size)
    keys = torch.cat([F.pad(own[:, :, :-1], (0, 0, 0, 0, 1, 0)), own], 3) if own.shape[2] > 1 else own
    place, start = torch.arange(size, device=q.device), keys.shape[3] - size
    lag = place[:, None] + start - torch.arange(keys.shape[3], device=q.device)
    absent = (torch.arange(own.shape[2], device=q.device)[:, None, None] == 0) & (lag > place[:, None])
    rows = chunked(q, size).transpose(1, 2).flatten(2, 3)[:, None]
    part = softmax_part(rows, keys, keys, (lag < 0) | (lag >= size) | absent)
    return SoftmaxPart(*(x[:, 0].unflatten(2, (heads, size)).transpose(1, 2).flatten(2, 3)[:, :, :n] for x in part))


def window_pairs(n: int, size: int) -> int:
    """Pairs that it computes a head: whole blocks with themselves and the block before, where there is one."""
    blocks = -(-n // size)
    return blocks * size * size * (2 if blocks > 1 else 1)


class EntryCore(nn.Module):
    """`q [b, h, n, d]`, `kv [b, 1, n, d]`, `entries [b, 1, n // rate, d]` to `[b, h, n, d]`; `sinks [h]`."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.window, self.rate = reach(spec), spec.number("rate")
        self.sinks = nn.Parameter(torch.randn(spec.shape.heads))

    def forward(self, q: Tensor, kv: Tensor, entries: Tensor, *index: Tensor) -> Tensor:
        scaled = q * q.shape[-1] ** -0.5
        parts = [window_part(scaled, kv, self.window)]
        if entries.shape[2]:
            parts.append(self.far(scaled, entries, *index))
        return joined(parts, self.sinks[:, None, None])

    def far(self, q: Tensor, entries: Tensor, *index: Tensor) -> SoftmaxPart:
        """What the entries add to the softmax of the scaled queries."""
        raise NotImplementedError

    def reference(self, q: Tensor, kv: Tensor, entries: Tensor, *index: Tensor) -> Tensor:
        """One softmax over tokens, complete entries and the sink, whose column is left out (a head at a time)."""
        place, slot = q.new_ones(q.shape[2]).cumsum(0), entries.new_ones(entries.shape[2]).cumsum(0)
        lag, complete = place[:, None] - place, slot * self.rate <= place[:, None]
        near, far = (lag >= 0) & (lag < self.window), self.reads(complete, *index)
        seen = torch.cat([mask.expand(len(q), -1, -1) for mask in (near, far)], 2)
        keys, found = torch.cat([kv, entries], 2)[:, 0], []
        for head, sink in enumerate(self.sinks):
            scores = torch.einsum("bid,bjd->bij", q[:, head], keys) / q.shape[-1] ** 0.5
            scores = scores.masked_fill(~seen, -torch.inf)
            shares = torch.cat([scores, sink.expand(*scores.shape[:2], 1)], -1).softmax(-1)
            found.append(shares[..., :-1] @ keys)
        return torch.stack(found, 1)

    def reads(self, complete: Tensor, *index: Tensor) -> Tensor:
        """By the reference, which of the complete entries `[n, e]` each query reads, `[b, n, e]` or `[n, e]`."""
        raise NotImplementedError

    def step(self, q: Tensor, entries: list[Tensor], recent: KVCache) -> Tensor:
        """One query `[b, h, 1, d]` over entries in several pieces `[b, 1, c, d]` and the recent tokens."""
        keys = [*entries, *pieces(recent)[0]]
        return mixed_row(q, keys, keys, self.sinks)


class EntryProjections(nn.Module):
    """Queries of every head, one vector a token, and the entries."""

    def __init__(self, spec: Spec, overlap: bool = False) -> None:
        super().__init__()
        shape = spec.shape
        self.heads = shape.heads
        self.to_q, self.to_kv = (nn.Linear(shape.dim, heads * shape.d, bias=False) for heads in (shape.heads, 1))
        self.norm = nn.RMSNorm(shape.d, eps=1e-6)
        self.compress = Compressor(shape.dim, shape.d, spec.number("rate"), overlap)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return *self.tokens(x), self.compress(x)[:, None]

    def tokens(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Queries `[b, h, n, d]`, and key and value in one, `[b, 1, n, d]`."""
        return split_heads(self.to_q(x), self.heads), self.norm(self.to_kv(x))[:, None]


P = TypeVar("P", bound=EntryProjections)


class EntryLayer(Attention, Generic[P]):
    """The attention layer; a step may complete an entry."""

    project: P

    def __init__(self, spec: Spec, project: P, core: EntryCore) -> None:
        super().__init__(spec.shape, project, core)
        self.shape, self.window = spec.shape, reach(spec)

    def state(self, n: int) -> EntryState:
        """The last tokens, an entry for every `rate`, and the tokens of the next one, of random content."""
        shape = self.shape
        kv = torch.randn(shape.batch, 1, min(n, self.window), shape.d, dtype=dtype_of(shape))
        recent = cached(kv, kv[..., :0], self.window)._replace(n=n)
        return EntryState(recent, *random_entries(self.project.compress, shape, shape.d, n))

    def prefill(self, x: Tensor) -> EntryState:
        """The same after the tokens `x [b, n, D]`."""
        kv = self.project.tokens(x)[1]
        return EntryState(cached(kv, kv[..., :0], self.window), *started(self.project.compress, x))

    def gone_on(self, x: Tensor, state: EntryState) -> tuple[Tensor, EntryState]:
        """The query of one token more, `x [b, 1, D]`, and the state with it."""
        q, kv = self.project.tokens(x)
        entries = continued(self.project.compress, x, state.entries, state.waiting)
        return q, EntryState(appended(state.recent, kv, kv[..., :0]), *entries, state.indexed)
