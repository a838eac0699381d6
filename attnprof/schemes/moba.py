"""Mixture of block attention: the own block and those with the best mean key (Lu et al. 2025, section 2.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from attnprof.contracts import Spec
from attnprof.layers.chosen_blocks import TILE, chosen_part, most_tiles, over_choices, read_places
from attnprof.layers.decisions import decided
from attnprof.layers.in_turn import in_turn
from attnprof.layers.kv_cache import KVCache, appended, cached, mixed_each, random_cache, taken
from attnprof.layers.own_block import own_pairs, own_part
from attnprof.layers.partial_softmax import SoftmaxPart, joined
from attnprof.layers.selecting import selecting
from attnprof.layers.softmax import softmax_attention


class Core(nn.Module):
    """`q [b, h, n, d]`, `k, v [b, g, n, d]` to `[b, h, n, d]`; every query head chooses for itself."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.shape, self.size, self.topk = spec.shape, spec.number("block"), spec.number("topk")
        self.whole, self.choices = choices(spec)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        heads = q.shape[1] // k.shape[1]
        scaled = q * q.shape[-1] ** -0.5
        own = own_part(scaled, k, v, self.size)
        if not self.choices:
            return joined([own])
        chosen = decided(lambda: self.choose(q, k))
        rows = scaled.unflatten(1, (-1, heads)).flatten(2, 3)
        keys, values = (self.blocks(x) for x in (k, v))
        past = over_choices(chosen_part(rows, keys, values, chosen.unflatten(1, (-1, heads)).flatten(2, 3)))
        return joined([own, SoftmaxPart(*(x.unflatten(2, (heads, -1)).flatten(1, 2) for x in past))])

    def reference(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """One masked softmax: of past blocks those that fewer than topk - 1 others beat, by q_i . mean(K)."""
        k, v = (x.repeat_interleave(q.shape[1] // x.shape[1], 1) for x in (k, v))
        place = q.new_ones(q.shape[2]).long().cumsum(0) - 1
        block = place // self.size
        count = -(-q.shape[2] // self.size)
        held = (block == torch.arange(count, device=q.device)[:, None]).to(q.dtype)
        means = torch.einsum("cn,bhnd->bhcd", held, k) / held.sum(1)[:, None]
        gate = torch.einsum("bhid,bhcd->bhic", q, means).detach()
        past = torch.arange(count, device=q.device) < block[:, None]
        order = gate.masked_fill(~past, -torch.inf).sort(dim=-1, descending=True, stable=True).indices.argsort(-1)
        chosen = past & (order < self.topk - 1)
        mask = (chosen.to(q.dtype) @ held > 0) | ((block == block[:, None]) & (place <= place[:, None]))
        return softmax_attention(q, k, v, mask)

    @selecting()
    @torch.no_grad()
    def choose(self, q: Tensor, k: Tensor) -> Tensor:
        """The past blocks of each query with the best mean key, `[b, h, n, choices]`; `whole` where there are fewer."""
        means = self.blocks(k).mean(3)
        gate = (q.unflatten(1, (k.shape[1], -1)) @ means.transpose(-2, -1)[:, :, None]).flatten(1, 2)
        own = torch.arange(q.shape[2], device=q.device).div(self.size, rounding_mode="floor")
        later = torch.arange(self.whole, device=q.device) >= own[:, None]
        best = gate.masked_fill(later, float("-inf")).topk(self.choices, sorted=False)
        return best.indices.masked_fill(best.values == float("-inf"), self.whole)

    def blocks(self, x: Tensor) -> Tensor:
        """The whole blocks that a later one can choose, `[b, g, whole, size, d]`."""
        return x[:, :, : self.whole * self.size].unflatten(2, (self.whole, self.size))

    def state(self, n: int) -> tuple[KVCache, Tensor]:
        """Keys and values of n tokens and the sums of each block's keys, of random content."""
        sums = random_cache(self.shape, -(-n // self.size)).k
        return random_cache(self.shape, n), sums

    def prefill(self, q: Tensor, k: Tensor, v: Tensor) -> tuple[KVCache, Tensor]:
        """The state after the tokens `k, v [b, g, n, d]`."""
        short = k[:, :, k.shape[2] // self.size * self.size :]
        sums = k[:, :, : k.shape[2] - short.shape[2]].unflatten(2, (-1, self.size)).sum(3)
        return cached(k, v), torch.cat([sums, short.sum(2, keepdim=True)], 2) if short.shape[2] else sums

    @in_turn()
    def step(self, q: Tensor, k: Tensor, v: Tensor, state: tuple[KVCache, Tensor]) -> tuple[Tensor, object]:
        """One token more: 2 d a past block to choose, 4 d a key of the own block and of the chosen ones."""
        cache, sums = state
        own, within = divmod(cache.n, self.size)
        sums = torch.cat([sums[:, :, :own], sums[:, :, own:] + k if within else k], 2)
        cache = appended(cache, k, v)
        heads, wanted = q.shape[1] // k.shape[1], max(min(self.topk - 1, own), 0)
        with selecting():
            past = sums[:, :, : own if wanted else 0].transpose(-2, -1)
            gate = (q.unflatten(1, (-1, heads)).flatten(2, 3) @ past).flatten(1, 2)
        read = read_places(gate.topk(wanted, sorted=False).indices, self.size, cache.n)
        found = taken(cache, read.unflatten(1, (-1, heads)).flatten(2))
        keys, values = (x.unflatten(2, (heads, 1, -1)).flatten(1, 2) for x in found)
        return mixed_each(q, keys, values), (cache, sums)


def choices(spec: Spec) -> tuple[int, int]:
    """Whole blocks that some query has behind it, and how many of them each query chooses."""
    whole = (spec.shape.n - 1) // spec.number("block")
    return whole, max(min(spec.number("topk") - 1, whole), 0)


def flops_core(spec: Spec) -> int:
    """4 B^2 d a block for the own ones; 4 B d a row of the tiles of choices, which blocks leave partly empty."""
    shape, size, (whole, chosen) = spec.shape, spec.number("block"), choices(spec)
    own = shape.heads * own_pairs(shape.n, size)
    rows = shape.n * shape.heads // shape.groups * chosen
    past = shape.groups * most_tiles(rows, whole) * TILE * size if chosen else 0
    return 4 * shape.batch * shape.d * (own + past)


def flops_selection(spec: Spec) -> int:
    """2 d a query and whole block: the gate."""
    shape, (whole, chosen) = spec.shape, choices(spec)
    return 2 * shape.batch * shape.heads * shape.n * whole * shape.d if chosen else 0
