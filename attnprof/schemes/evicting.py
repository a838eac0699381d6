"""Caches that decide what decoding reads: H2O, SnapKV and Quest, after a prompt that is read in full."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attnprof.contracts import Spec
from attnprof.layers.in_turn import in_turn
from attnprof.layers.kv_cache import KVCache, appended, cached, mixed_row, random_cache, taken
from attnprof.layers.selecting import selecting
from attnprof.layers.softmax import attend, softmax_attention

PAGE = 16  # tokens (Tang et al. 2024, section 4.3.1)
NEIGHBOURS = 7  # whose votes a token shares (Li et al. 2024: on LongBench)


class KeptState(NamedTuple):
    """Keys and values `[b, g, rows, d]` in the order of the text, and the weight of each so far, `[b, g, rows]`."""

    k: Tensor
    v: Tensor
    weight: Tensor


class PagedState(NamedTuple):
    """All keys and values, and each page's smallest and largest channels, `[b, g, pages, 2, d]`."""

    cache: KVCache
    ranges: Tensor


class Core(nn.Module):
    """`q [b, h, n, d]`, `k, v [b, g, n, d]` to `[b, h, n, d]`: dense and causal; what follows reads what was kept."""

    hidden: Tensor

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.shape, self.policy = spec.shape, str(spec.params["policy"])
        self.heavy, self.recent = spec.number("heavy"), spec.number("recent")
        n, heads = spec.shape.n, spec.shape.heads // spec.shape.groups
        later = torch.ones(n, n, dtype=torch.bool).triu(1)
        self.register_buffer("hidden", later.repeat(heads, 1), persistent=False)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return attend(q, k, v, self.hidden)

    def reference(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """softmax(q k^T / sqrt(d)) v over the past."""
        place = q.new_ones(q.shape[2]).cumsum(0)
        return softmax_attention(q, k, v, place <= place[:, None])

    def state(self, n: int) -> KeptState | PagedState:
        """What is kept of n tokens, of random content."""
        if self.policy == "pages":
            cache = random_cache(self.shape, n)
            return PagedState(cache, _ranges(cache.k))
        cache = random_cache(self.shape, min(n, self.heavy + self.recent))
        return KeptState(cache.k, cache.v, cache.k[..., 0].clone())

    def prefill(self, q: Tensor, k: Tensor, v: Tensor) -> KeptState | PagedState:
        """The state after the tokens of a prompt."""
        if self.policy == "pages":
            return PagedState(cached(k, v), _ranges(k))
        with selecting():
            weight = self.prompt_weight(q, k)
        rows = k.shape[2]
        if rows <= self.heavy + self.recent:
            return KeptState(k, v, weight)
        ranked = weight if self.policy == "heavy" else _pooled(weight[..., : rows - self.recent])
        kept = ranked[..., : rows - self.recent].topk(self.heavy).indices.sort(-1).values
        last = torch.arange(rows - self.recent, rows, device=k.device).expand(*kept.shape[:2], -1)
        return _picked(KeptState(k, v, weight), torch.cat([kept, last], -1))

    def prompt_weight(self, q: Tensor, k: Tensor) -> Tensor:
        """The weight that all queries of a prompt, or the last, give each key, summed over a group, `[b, g, n]`."""
        n = k.shape[2]
        first = 0 if self.policy == "heavy" else max(n - self.recent, 0)
        asking = q[:, :, first:].unflatten(1, (k.shape[1], -1)) * q.shape[-1] ** -0.5
        later = torch.arange(n, device=k.device) > torch.arange(first, n, device=k.device)[:, None]
        scores = (asking @ k.transpose(-2, -1)[:, :, None]).masked_fill(later, float("-inf"))
        return scores.softmax(-1).sum((2, 3))

    @in_turn()
    def step(self, q: Tensor, k: Tensor, v: Tensor, state: KeptState | PagedState) -> tuple[Tensor, Any]:
        """One token more over what is kept, itself included; then what no longer fits goes."""
        if isinstance(state, PagedState):
            return self.read_pages(q, k, v, state)
        keys, values = torch.cat([state.k, k], 2), torch.cat([state.v, v], 2)
        heads = q.shape[1] // k.shape[1]
        folded = (q * q.shape[-1] ** -0.5).unflatten(1, (-1, heads)).flatten(2, 3)
        weights = (folded @ keys.transpose(-2, -1)).softmax(-1)
        mixed = (weights @ values).unflatten(2, (heads, 1)).flatten(1, 2)
        state = KeptState(keys, values, F.pad(state.weight, (0, 1)) + weights.sum(2))
        rows = keys.shape[2]
        if self.policy == "votes" or rows <= self.heavy + self.recent:
            return mixed, state
        lightest = state.weight[..., : rows - self.recent].argmin(-1, keepdim=True)
        place = torch.arange(rows - 1, device=q.device)
        return mixed, _picked(state, place + (place >= lightest))

    def read_pages(self, q: Tensor, k: Tensor, v: Tensor, state: PagedState) -> tuple[Tensor, PagedState]:
        """One token more over its own page and the best ones of the past: heavy / 16 of them."""
        own, heads = state.cache.n // PAGE, q.shape[1] // k.shape[1]
        cache, new = appended(state.cache, k, v), torch.stack([k, k], 3)
        if state.cache.n % PAGE:
            low, high = state.ranges[:, :, own:].unbind(3)
            new = torch.stack([torch.minimum(low, k), torch.maximum(high, k)], 3)
        ranges = torch.cat([state.ranges[:, :, :own], new], 2)
        read = torch.arange(own * PAGE, cache.n, device=q.device).expand(*k.shape[:2], -1)
        if own:
            with selecting():
                asking = q.unflatten(1, (-1, heads))
                low, high = (asking * ranges[:, :, None, :own, at] for at in range(2))
                most = torch.maximum(low, high).sum(-1).sum(2)
                best = most.topk(min(max(self.heavy // PAGE, 1), own), sorted=False).indices
            place = best[..., None] * PAGE + torch.arange(PAGE, device=q.device)
            read = torch.cat([place.flatten(2), read], 2)
        found = taken(cache, read)
        return mixed_row(q, [found[0]], [found[1]]), PagedState(cache, ranges)


def _ranges(k: Tensor) -> Tensor:
    """The smallest and largest channels of each page of `k [b, g, n, d]`, the last of which may be short."""
    short = F.pad(k, (0, 0, 0, -k.shape[2] % PAGE), value=float("nan")).unflatten(2, (-1, PAGE))
    low, high = short.nan_to_num(torch.inf).amin(3), short.nan_to_num(-torch.inf).amax(3)
    return torch.stack([low, high], 3)


def _pooled(weight: Tensor) -> Tensor:
    """The most votes among the neighbours of each token."""
    return F.max_pool1d(weight, NEIGHBOURS, 1, NEIGHBOURS // 2)


def _picked(state: KeptState, index: Tensor) -> KeptState:
    """The rows `index [b, g, c]` of what is kept."""
    k, v = (x.gather(2, index[..., None].expand(-1, -1, -1, x.shape[-1])) for x in state[:2])
    return KeptState(k, v, state.weight.gather(2, index))


def flops_core(spec: Spec) -> int:
    """4 n^2 d a head: the prompt, in full."""
    return 4 * spec.shape.batch * spec.shape.heads * spec.shape.d * spec.shape.n**2
