"""Long-Short Transformer: a window and dynamic projections under one softmax (Zhu et al. 2021, sections 3.2 to 3.4)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attnprof.contracts import Spec
from attnprof.layers.attention import dtype_of, merge_heads, split_heads
from attnprof.layers.in_turn import in_turn
from attnprof.layers.index_tables import table
from attnprof.layers.kv_cache import KVCache, appended, cached, mixed_row, random_cache
from attnprof.layers.scan import chunked
from attnprof.layers.softmax import hide, softmax_attention


class LongShortState(NamedTuple):
    """The window's last keys and values, the slots of completed chunks, and keys and values of the open one."""

    near: KVCache
    slots: tuple[Tensor, Tensor]
    open: tuple[Tensor, Tensor]


class Core(nn.Module):
    """`q, k, v [b, h, n, d]`; slots are sums of k and v over the sequence (causal: each chunk) by softmax(k W)."""

    hidden: Tensor
    unseen: Tensor | None

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.spec, shape, self.plan = spec, spec.shape, Plan(spec)
        self.to_slots = nn.Parameter(torch.randn(shape.heads, shape.d, self.plan.rank) * shape.d**-0.5)
        self.of_window, self.of_slots = (nn.LayerNorm(shape.heads * shape.d) for _ in range(2))
        self.register_buffer("hidden", table(self.plan.hidden()))
        blocks, size, slots = self.plan.blocks, self.plan.size, self.plan.slots
        unseen = table(self.plan.unseen, (blocks, size, slots)) if shape.causal else None
        self.register_buffer("unseen", unseen)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        far, rows, plan = self.projected(k, v), q.shape[2], self.plan
        near = [self.windows(normed(self.of_window, x)) for x in (k, v)]
        q = chunked(q * q.shape[-1] ** -0.5, plan.size)
        scores = torch.cat([q @ near[0].transpose(-2, -1), q @ far[0][:, :, None].transpose(-2, -1)], -1)
        hide(scores[..., : plan.width], self.hidden)
        if self.unseen is not None:
            hide(scores[..., plan.width :], self.unseen)
        weights = scores.softmax(-1)
        mixed = weights[..., : plan.width] @ near[1] + weights[..., plan.width :] @ far[1][:, :, None]
        return mixed.flatten(2, 3)[:, :, :rows]

    def reference(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """All tokens and all slots under one mask; slots chunk by chunk."""
        n, causal = q.shape[2], self.spec.shape.causal
        window, place = self.spec.number("window"), torch.arange(n, device=q.device)
        chunk = self.spec.number("chunk") if causal else n
        slots, ends = [], []
        for start in range(0, n // chunk * chunk, chunk):
            part = slice(start, start + chunk)
            share = torch.einsum("bhnd,hdr->bhnr", k[:, :, part], self.to_slots).softmax(2)
            slots.append([torch.einsum("bhnr,bhnd->bhrd", share, x[:, :, part]) for x in (k, v)])
            ends += [start + chunk] * share.shape[-1]
        keys, values = [], []
        for side, (own, kept) in enumerate(((k, keys), (v, values))):
            kept += [by_width(self.of_window, own)] + [by_width(self.of_slots, pair[side]) for pair in slots]
        lag = place[:, None] - place
        half = -(-window // 2)
        first = place // (2 * half) * 2 * half if window > 1 else place
        near = (lag >= 0) & (lag < max(window, 1)) if causal else (place >= (first - half * (window > 1))[:, None])
        if not causal:
            near = near & (place < (first + (3 * half if window > 1 else 1))[:, None])
        last = torch.tensor(ends, device=q.device)
        far = last <= place[:, None] // chunk * chunk if causal else last.expand(n, -1) > 0
        return softmax_attention(q, torch.cat(keys, 2), torch.cat(values, 2), torch.cat([near, far], 1))

    def projected(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of the slots, normalised, `[b, h, slots, d]`; of whole chunks alone."""
        chunk = self.plan.chunk if self.spec.shape.causal else k.shape[2]
        stop = k.shape[2] // chunk * chunk
        parts = [x[:, :, :stop].unflatten(2, (-1, chunk)) for x in (k, v)]
        share = (parts[0] @ self.to_slots[:, None]).softmax(3).transpose(-2, -1)
        made = [normed(self.of_slots, (share @ part).flatten(2, 3)) for part in parts]
        return made[0], made[1]

    def windows(self, x: Tensor) -> Tensor:
        """What each block of queries reads, `[b, h, blocks, width, d]`: a view of the padded sequence."""
        plan, n = self.plan, x.shape[2]
        after = plan.blocks * plan.size - n + plan.width - plan.size - plan.before
        return F.pad(x, (0, 0, plan.before, after)).unfold(2, plan.width, plan.size).transpose(-2, -1)

    def state(self, n: int) -> LongShortState:
        """What it keeps of n tokens, of random content."""
        shape, slots, left = self.spec.shape, n // self.plan.chunk * self.plan.rank, n % self.plan.chunk
        sizes = [(shape.batch, shape.heads, rows, shape.d) for rows in (slots, slots, left, left)]
        made = [torch.randn(size, dtype=dtype_of(shape)) for size in sizes]
        near = random_cache(shape, n, max(self.spec.number("window"), 1))
        return LongShortState(near, (made[0], made[1]), (made[2], made[3]))

    def prefill(self, q: Tensor, k: Tensor, v: Tensor) -> LongShortState:
        """The state after the tokens `k, v [b, h, n, d]`."""
        done = k.shape[2] // self.plan.chunk * self.plan.chunk
        near = [normed(self.of_window, x) for x in (k, v)]
        kept = cached(near[0], near[1], max(self.spec.number("window"), 1))
        return LongShortState(kept, self.projected(k, v), (k[:, :, done:], v[:, :, done:]))

    @in_turn()
    def step(self, q: Tensor, k: Tensor, v: Tensor, state: LongShortState) -> tuple[Tensor, LongShortState]:
        """One token more over its window and all slots; where it completes a chunk, that has slots from now on."""
        near = appended(state.near, normed(self.of_window, k), normed(self.of_window, v))
        slots, rest = state.slots, (torch.cat([state.open[0], k], 2), torch.cat([state.open[1], v], 2))
        mixed = mixed_row(q, [near.k, slots[0]], [near.v, slots[1]])
        if rest[0].shape[2] == self.plan.chunk:
            made = self.projected(*rest)
            slots = torch.cat([slots[0], made[0]], 2), torch.cat([slots[1], made[1]], 2)
            rest = rest[0][:, :, :0], rest[1][:, :, :0]
        return mixed, LongShortState(near, slots, rest)


class Plan:
    """Blocks of `size` queries over `width` keys from `before` the block on, and how many slots there are."""

    def __init__(self, spec: Spec) -> None:
        self.n, self.causal, window = spec.shape.n, spec.shape.causal, spec.number("window")
        half = -(-window // 2) if window > 1 else 0
        whole = max(window, 1) if self.causal else max(2 * half, 1)
        self.window, self.size = window, min(whole, self.n)
        self.blocks = -(-self.n // self.size)
        reach = 0 if self.blocks == 1 else self.size
        self.before = (reach if self.window > 1 else 0) if self.causal else min(half, reach)
        self.width = self.size + self.before * (1 if self.causal else 2)
        self.rank = spec.number("chunk_rank") if self.causal else spec.number("rank")
        self.chunk = spec.number("chunk")
        self.slots = self.n // self.chunk * self.rank if self.causal else self.rank

    def hidden(self) -> np.ndarray:
        """Keys that are not there, `[blocks, 1, width]`; causal, also out of the window, `[blocks, size, width]`."""
        key = np.arange(self.blocks)[:, None, None] * self.size - self.before + np.arange(self.width)
        absent = (key < 0) | (key >= self.n)
        if not self.causal:
            return absent
        lag = np.arange(self.size)[:, None] + self.before - np.arange(self.width)
        return (absent & (lag > 0)) | (lag < 0) | (lag >= max(self.window, 1))

    def unseen(self) -> np.ndarray:
        """Slots of chunks that a query's own chunk does not follow, `[blocks, size, slots]`."""
        token = np.arange(self.blocks * self.size).reshape(self.blocks, self.size, 1)
        return np.arange(self.slots) // max(self.rank, 1) >= token // self.chunk


def normed(norm: nn.LayerNorm, x: Tensor) -> Tensor:
    """`x [b, h, rows, d]` normalised over all its heads."""
    return split_heads(norm(merge_heads(x)), x.shape[1])


def by_width(norm: nn.LayerNorm, x: Tensor) -> Tensor:
    """The same, written out."""
    centred = x - x.mean((1, 3), keepdim=True)
    scaled = centred / ((centred**2).mean((1, 3), keepdim=True) + norm.eps).sqrt()
    weight, bias = (p.reshape(x.shape[1], 1, x.shape[3]) for p in (norm.weight, norm.bias))
    return scaled * weight + bias


def flops_core(spec: Spec) -> int:
    """A head: 6 m r d for slots of m tokens (whole chunks), 4 d for each query, key and slot, in whole blocks."""
    shape, plan = spec.shape, Plan(spec)
    tokens = shape.n // plan.chunk * plan.chunk if shape.causal else shape.n
    pairs = plan.blocks * plan.size * (plan.width + plan.slots)
    return shape.batch * shape.heads * shape.d * (6 * tokens * plan.rank + 4 * pairs)
