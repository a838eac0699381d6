"""LongNet: dense attention among every r-th token of a segment, at several scales (Ding et al. 2023, section 3.1)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attnprof.contracts import Spec
from attnprof.errors import Unsupported
from attnprof.layers.in_turn import in_turn
from attnprof.layers.index_tables import table
from attnprof.layers.kv_cache import KVCache, appended, cached, mixed_row, pieces, random_cache
from attnprof.layers.partial_softmax import SoftmaxPart, joined, softmax_part
from attnprof.pattern import numbers

ENDLESS = 1 << 62  # a segment that was cut to the sequence goes on when the sequence does


class Core(nn.Module):
    """`q [b, h, n, d]`, `k, v [b, g, n, d]` to `[b, h, n, d]`: the levels' softmaxes, weighted by their normalisers."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.shape, self.causal, self.levels = spec.shape, spec.shape.causal, levels(spec)
        self.goes_on = [(length if length < spec.shape.n else ENDLESS, step) for length, step in self.levels]
        self.parts = nn.ModuleList(Dilated(spec, length, step) for length, step in self.levels)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        heads = q.shape[1] // k.shape[1]
        k, v = (x.repeat_interleave(heads, 1) if heads > 1 else x for x in (k, v))
        scaled = q * q.shape[-1] ** -0.5
        return joined([part(scaled, k, v) for part in self.parts])

    def reference(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """One softmax over a multiset: a pair weighs as often as there are levels that have it."""
        k, v = (x.repeat_interleave(q.shape[1] // x.shape[1], 1) for x in (k, v))
        place, found = q.new_ones(q.shape[2]).long().cumsum(0) - 1, []
        for head in range(q.shape[1]):
            times = torch.zeros(len(place), len(place), dtype=q.dtype, device=q.device)
            for length, step in self.levels:
                member = place % length % step == head % step
                times += (member & member[:, None] & (place // length == (place // length)[:, None])).to(q.dtype)
            times = times * (place <= place[:, None]) if self.causal else times
            scores = torch.einsum("bid,bjd->bij", q[:, head], k[:, head]) / q.shape[-1] ** 0.5
            weights = (scores - scores.detach().amax(-1, keepdim=True)).exp() * times
            found.append(weights / weights.sum(-1, keepdim=True).clamp(min=1e-300) @ v[:, head])
        return torch.stack(found, 1)

    def state(self, n: int) -> LongNetState:
        """Keys and values of the tokens of the longest level's present segment, of random content."""
        return LongNetState(random_cache(self.shape, n % self.goes_on[-1][0]), n)

    def prefill(self, q: Tensor, k: Tensor, v: Tensor) -> LongNetState:
        """The state after the tokens `k, v [b, g, n, d]`."""
        first = k.shape[2] // self.goes_on[-1][0] * self.goes_on[-1][0]
        return LongNetState(cached(k[:, :, first:], v[:, :, first:]), k.shape[2])

    @in_turn()
    def step(self, q: Tensor, k: Tensor, v: Tensor, state: LongNetState) -> tuple[Tensor, LongNetState]:
        """One token more: each head over the tokens of its present segments, once for each level that it is in."""
        longest, at = self.goes_on[-1][0], state.n
        if at >= longest and any(longest % length for length, _ in self.goes_on):
            raise Unsupported("longnet goes on where segments are nested", hint="each a multiple of those before")
        cache = appended(state.cache, k, v)
        keys, values = (torch.cat(kept, 2) for kept in pieces(cache))
        mixed = [torch.zeros_like(q[:, :1]) for _ in range(q.shape[1])]
        for head in range(q.shape[1]):
            read = [
                torch.arange(at // length * length + head % step, at + 1, step, device=q.device) % longest
                for length, step in self.goes_on
                if at % length % step == head % step
            ]
            if read:
                own = head * k.shape[1] // q.shape[1]
                taken = [x[:, own : own + 1].index_select(2, torch.cat(read)) for x in (keys, values)]
                mixed[head] = mixed_row(q[:, head : head + 1], [taken[0]], [taken[1]])
        done = cache if (at + 1) % longest else cached(k[:, :, :0], v[:, :, :0])
        return torch.cat(mixed, 1), LongNetState(done, at + 1)


class LongNetState(NamedTuple):
    """Keys and values of the longest level's present segment, and how many tokens there were in all."""

    cache: KVCache
    n: int


class Dilated(nn.Module):
    """One level: scaled `q` and `k, v [b, h, n, d]` to its part, with nothing for tokens that a head leaves out."""

    there: Tensor
    back: Tensor
    absent: Tensor
    later: Tensor

    def __init__(self, spec: Spec, length: int, step: int) -> None:
        super().__init__()
        n, self.heads = spec.shape.n, spec.shape.heads
        self.segments, self.size = -(-n // length), -(-length // step)
        count, size, heads = self.segments * self.size, self.size, np.arange(spec.shape.heads)[:, None]
        within = heads % step + step * np.arange(size)
        place = np.arange(self.segments)[:, None] * length + within[:, None]
        place = np.where((within[:, None] < length) & (place < n), place, n).reshape(spec.shape.heads, count)
        back = np.full((spec.shape.heads, n + 1), count)
        np.put_along_axis(back, place, np.arange(count)[None], 1)
        self.register_buffer("there", table(place + heads * (n + 1)), persistent=False)
        self.register_buffer("back", table(back[:, :n] + heads * (count + 1)), persistent=False)
        absent = (place == n).reshape(spec.shape.heads, self.segments, 1, size)
        later = np.triu(np.ones((size, size), dtype=np.bool_), 1) & spec.shape.causal
        self.register_buffer("absent", table(absent), persistent=False)
        self.register_buffer("later", table(later), persistent=False)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> SoftmaxPart:
        q, k, v = (rows(x, self.there, 0.0).unflatten(2, (self.segments, self.size)) for x in (q, k, v))
        part = softmax_part(q, k, v, self.absent | self.later)
        least = torch.finfo(part.peak.dtype).min
        return SoftmaxPart(*(rows(x.flatten(2, 3), self.back, e) for x, e in zip(part, (0.0, 0.0, least), strict=True)))


def rows(x: Tensor, index: Tensor, empty: float) -> Tensor:
    """Of `x [b, h, n, d]`, a row of `empty` after each head's, the rows `index [h, m]` of all heads: `[b, h, m, d]`."""
    flat = F.pad(x, (0, 0, 0, 1), value=empty).flatten(1, 2)
    return flat.index_select(1, index.flatten()).unflatten(1, index.shape)


def levels(spec: Spec) -> list[tuple[int, int]]:
    """Segment and dilation of each level."""
    segments, dilations = (numbers(str(spec.params[name])) for name in ("segments", "dilations"))
    return list(zip(segments, dilations, strict=True))


def flops_core(spec: Spec) -> int:
    """4 d a head and pair of the ceil(w / r) tokens of each segment of each level."""
    shape = spec.shape
    pairs = sum(-(-shape.n // length) * (-(-length // step)) ** 2 for length, step in levels(spec))
    return 4 * shape.batch * shape.heads * shape.d * pairs
