"""Transformer-XL: segments with a memory, and relative positions (Dai et al. 2019, sections 3.2 and 3.3).

All segments of a layer at once: the memory of a segment is what the layer read in the segments before.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from attnprof.contracts import Spec
from attnprof.layers.attention import QKV
from attnprof.layers.in_turn import in_turn
from attnprof.layers.index_tables import table
from attnprof.layers.relative import RelativeAttention, windows
from attnprof.layers.scan import chunked

SegmentState = tuple[Tensor, Tensor, Tensor, int]


class Core(nn.Module):
    """`q [b, h, n, d]`, `k, v [b, g, n, d]`, and `k_m, v_m` as the memory sees them (else k and v without gradient).

    A segment and a memory that are longer than what n tokens fill count for decoding; going forward they are cut.
    """

    future: Tensor
    missing: Tensor

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.spec, self.n = spec, spec.shape.n
        self.segment, self.memory = spec.number("segment"), spec.number("memory")
        self.same_length = bool(spec.params["same_length"])
        self.rows, self.before = filled(spec)
        self.count = -(-self.n // self.rows)
        self.relative = RelativeAttention(spec.shape, self.segment, self.memory)
        future, missing = masks(self.rows, self.before, self.count, self.memory if self.same_length else None)
        self.register_buffer("future", table(future), persistent=False)
        self.register_buffer("missing", table(missing), persistent=False)

    def forward(self, q: Tensor, k: Tensor, v: Tensor, *memory: Tensor) -> Tensor:
        k_m, v_m = memory or (k.detach(), v.detach())
        q, k, v = (chunked(x, self.rows) for x in (q, k, v))
        if self.before:
            past = (windows(x, self.before, self.rows, self.count) for x in (k_m, v_m))
            k, v = (torch.cat([old, new], 3) for old, new in zip(past, (k, v), strict=True))
        return self.relative(q, k, v, self.future, self.missing).flatten(2, 3)[:, :, : self.n]

    def reference(self, q: Tensor, k: Tensor, v: Tensor, *memory: Tensor) -> Tensor:
        """All pairs of tokens: those of the own segment with k, earlier ones with k_m, beyond the memory none."""
        k_m, v_m = memory or (k.detach(), v.detach())
        i = torch.arange(self.n, device=q.device)[:, None]
        lag, start = i - i.T, i // self.segment * self.segment
        own = start <= i.T
        seen = (lag >= 0) & (lag <= self.memory if self.same_length else start - self.memory <= i.T)
        relative, repeat = self.relative, q.shape[1] // k.shape[1]
        k, v, k_m, v_m = (x.repeat_interleave(repeat, 1) for x in (k, v, k_m, v_m))
        content = torch.where(own, (q + relative.u) @ k.transpose(-2, -1), (q + relative.u) @ k_m.transpose(-2, -1))
        products = torch.einsum("bhid,hld->bhil", q + relative.w, relative.vectors(self.n))
        position = products.gather(3, lag.clamp(min=0).expand(*q.shape[:2], -1, -1))
        weights = ((content + position) / q.shape[-1] ** 0.5).masked_fill(~seen, float("-inf")).softmax(-1)
        return (weights * own) @ v + (weights * ~own) @ v_m

    def state(self, n: int) -> SegmentState:
        """Keys and values that token n reads, of random content, the positions' projections, and n."""
        shape, rows = self.spec.shape, n - self._first(n)
        dtype = getattr(torch, shape.dtype)
        k = torch.randn(shape.batch, shape.groups, rows, shape.d, dtype=dtype)
        return k, torch.randn_like(k), self.relative.positions(), n

    def prefill(self, q: Tensor, k: Tensor, v: Tensor, *memory: Tensor) -> SegmentState:
        """The state after the tokens `k, v [b, g, n, d]`."""
        first = self._first(k.shape[2])
        return k[:, :, first:].clone(), v[:, :, first:].clone(), self.relative.positions(), k.shape[2]

    @in_turn()
    def step(self, q: Tensor, k: Tensor, v: Tensor, *rest: Any) -> tuple[Tensor, SegmentState]:
        """One token more over its segment so far and the memory before it."""
        old_k, old_v, positions, n = rest[-1]
        k, v = torch.cat([old_k, k], 2), torch.cat([old_v, v], 2)
        keys = k[:, :, -self.memory - 1 :] if self.same_length else k
        content = (q + self.relative.u) @ self.relative.by_head(keys).transpose(-2, -1)
        position = (q + self.relative.w) @ positions[:, -1 - keys.shape[2] : -1].transpose(-2, -1)
        weights = ((content + position) * q.shape[-1] ** -0.5).softmax(-1)
        mixed = weights @ self.relative.by_head(v[:, :, -keys.shape[2] :])
        dropped = self._first(n + 1) - self._first(n)
        if dropped:
            k, v = k[:, :, dropped:].clone(), v[:, :, dropped:].clone()
        return mixed, (k, v, positions, n + 1)

    def _first(self, n: int) -> int:
        """The first token that token n reads."""
        return max(0, n // self.segment * self.segment - self.memory)


class Projections(QKV):
    """q, k, v of `x [b, n, D]`; in training k and v once more from x without its gradient, for the memory."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec.shape)
        _, self.memory = filled(spec)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, ...]:
        streams = super().forward(x, context)
        if not (self.memory and torch.is_grad_enabled()):
            return streams
        return *streams, *super().forward(x.detach(), context)[1:]


def filled(spec: Spec) -> tuple[int, int]:
    """Segment and memory as far as n tokens fill them."""
    segment = min(spec.number("segment"), spec.shape.n)
    return segment, min(spec.number("memory"), (spec.shape.n - 1) // segment * segment)


def masks(segment: int, memory: int, count: int, longest: int | None) -> tuple[np.ndarray, np.ndarray]:
    """What no query sees: of a window, the future `[T, W]`; of a segment, tokens before the first `[count, 1, W]`.

    Of a window, lags beyond `longest` too.
    """
    lag = np.arange(segment)[:, None] + memory - np.arange(segment + memory)
    hidden = lag < 0 if longest is None else (lag < 0) | (lag > longest)
    position = np.arange(count)[:, None] * segment - memory + np.arange(segment + memory)
    return hidden, (position < 0)[:, None]


def flops_core(spec: Spec) -> int:
    """A segment and head 2 T d (3 W + 1), W = T + M: content, positions (one lag to spare), values; 2 W D g d for r."""
    shape, (segment, memory) = spec.shape, filled(spec)
    width, count = segment + memory, -(-shape.n // segment)
    mixing = shape.batch * shape.heads * count * 2 * segment * shape.d * (3 * width + 1)
    return mixing + 2 * width * shape.dim * shape.groups * shape.d
