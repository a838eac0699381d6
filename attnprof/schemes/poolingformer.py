"""Poolingformer: a window of tokens, then a wide window of pooled keys over its outputs (Zhang et al. 2021, 3.1)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attnprof.contracts import Spec
from attnprof.layers.attention import QKV, Attention
from attnprof.layers.gathered import GatherCore
from attnprof.layers.gathered import flops_core as gathered_flops
from attnprof.layers.index_tables import table
from attnprof.layers.scan import chunked
from attnprof.layers.softmax import hide, softmax_attention
from attnprof.pattern import Band, Pattern


class Core(nn.Module):
    """The mixings alone: `q, k, v [b, h, n, d]` within the window to y, y among its pooled selves; the sum of both."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.reach, self.near, self.far = spec.number("window") // 2, GatherCore(near(spec)), PooledWindow(spec)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        y = self.near(q, k, v)
        return y + self.far(y, y, y)

    def reference(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Two masked softmaxes."""
        place = torch.arange(q.shape[2], device=q.device)
        y = softmax_attention(q, k, v, (place - place[:, None]).abs() <= self.reach)
        return y + self.far.reference(y, y, y)


class PooledWindow(nn.Module):
    """`q, k, v [b, h, n, d]`: key p is the mean of `kernel` tokens from `stride` p on, read within half a window of it.

    Blocks of queries, a quarter of the window long, read views of the pooled keys.
    """

    hidden: Tensor
    alive: Tensor | None
    sizes: Tensor

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.n, self.plan = spec.shape.n, PooledPlan(spec)
        hidden, alive = self.plan.masks()
        self.register_buffer("hidden", table(hidden))
        self.register_buffer("alive", None if alive.all() else table(alive))

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        k, v = (self.windows(x.repeat_interleave(q.shape[1] // x.shape[1], 1)) for x in (k, v))
        scores = chunked(q * q.shape[-1] ** -0.5, self.plan.block) @ k.transpose(-2, -1)
        hide(scores, self.hidden)
        mixed = scores.softmax(-1) @ v
        if self.alive is not None:
            mixed = mixed * self.alive
        return mixed.flatten(2, 3)[:, :, : self.n]

    def reference(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Every query over every pooled key under one mask; a query that reads none gives 0."""
        plan = self.plan
        starts = range(0, self.n, plan.stride)
        k, v = (torch.stack([x[:, :, a : a + plan.kernel].mean(2) for a in starts], 2) for x in (k, v))
        place = torch.arange(self.n, device=q.device)
        return softmax_attention(q, k, v, (place[:, None] - place[:: plan.stride]).abs() <= plan.half)

    def windows(self, x: Tensor) -> Tensor:
        """The pooled keys of each block, `[b, h, blocks, width, d]`."""
        plan = self.plan
        short = (plan.count - 1) * plan.stride + plan.kernel - self.n
        sums = F.pad(x, (0, 0, 0, max(short, 0))).unfold(2, plan.kernel, plan.stride)[:, :, : plan.count].sum(-1)
        there = (self.n - torch.arange(plan.count, device=x.device) * plan.stride).clamp(max=plan.kernel)
        after = (plan.blocks - 1) * plan.step + plan.width - plan.before - plan.count
        pooled = F.pad(sums / there[:, None].to(x.dtype), (0, 0, plan.before, max(after, 0)))
        return pooled.unfold(2, plan.width, plan.step)[:, :, : plan.blocks].transpose(-2, -1)


class PooledPlan:
    """Blocks of `block` queries, each over `width` of the `count` pooled keys, `step` further on a block."""

    def __init__(self, spec: Spec) -> None:
        self.n, self.stride, self.kernel = spec.shape.n, spec.number("stride"), spec.number("kernel")
        self.half = spec.number("pooled_window") // 2
        self.count = -(-self.n // self.stride)
        self.step = min(max(self.half // (2 * self.stride), 1), self.count)
        self.block = self.step * self.stride
        self.blocks = -(-self.n // self.block)
        self.before = self.half // self.stride
        self.width = self.before + (self.block - 1 + self.half) // self.stride + 1

    def masks(self) -> tuple[np.ndarray, np.ndarray]:
        """Pooled keys that a query does not read, `[blocks, block, width]`, and which queries read any.

        A query that reads none has none hidden, so that its softmax is defined.
        """
        key = np.arange(self.blocks)[:, None, None] * self.step - self.before + np.arange(self.width)
        token = np.arange(self.blocks * self.block).reshape(self.blocks, self.block, 1)
        reads = (key >= 0) & (key < self.count) & (abs(token - key * self.stride) <= self.half)
        alive = reads.any(-1, keepdims=True)
        return ~reads & alive, alive | (token >= self.n)


class Layer(nn.Module):
    """Two attentions in a row, each with projections of its own: `x [b, n, D]` to y, and y plus what y reads."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.first = Attention(spec.shape, QKV(spec.shape), GatherCore(near(spec)))
        self.second = Attention(spec.shape, QKV(spec.shape), PooledWindow(spec))

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        return y + self.second(y)


def near(spec: Spec) -> Spec:
    """The first window alone."""
    half = spec.number("window") // 2
    return replace(spec, pattern=Pattern("window", spec.shape.n, False, lambda layer, head: Band(half, half)))


def flops_core(spec: Spec) -> int:
    """The tiles of the first window, and 4 d a head for every query and pooled key of whole blocks."""
    shape, plan = spec.shape, PooledPlan(spec)
    return gathered_flops(near(spec)) + 4 * shape.batch * shape.heads * shape.d * plan.blocks * plan.block * plan.width
