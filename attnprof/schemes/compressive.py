"""Compressive Transformer: a memory, and a compressed memory of what left it (Rae et al. 2020, section 3).

All segments of a layer at once. Slot t holds the tokens c t ... c t + c - 1; a segment reads the last C slots before
its memory.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from attnprof.contracts import Spec
from attnprof.layers.attention import QKV, random_streams, split_heads
from attnprof.layers.index_tables import table
from attnprof.layers.relative import RelativeAttention, windows
from attnprof.layers.scan import chunked


class Core(nn.Module):
    """`q [b, h, n, d]`, `k, v [b, g, n, d]`; with slots `k_c, v_c [b, g, slots, d]`; in training `k_m, v_m` too."""

    hidden: Tensor
    missing: Tensor
    slots: Tensor

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.n, self.segment, self.memory = spec.shape.n, spec.number("segment"), spec.number("memory")
        self.compressed, self.rate = spec.number("compressed"), spec.number("rate")
        self.count = -(-self.n // self.segment)
        self.relative = RelativeAttention(spec.shape, self.segment, self.compressed + self.memory)
        starts = np.arange(self.count) * self.segment - self.memory
        slots = starts[:, None] // self.rate - self.compressed + np.arange(self.compressed)
        tokens = starts[:, None] + np.arange(self.memory + self.segment)
        lag = (
            np.arange(self.segment)[:, None]
            + self.compressed
            + self.memory
            - np.arange(self.compressed + self.memory + self.segment)
        )
        self.register_buffer("hidden", table(lag < 0), persistent=False)
        self.register_buffer("missing", table(np.concatenate([slots, tokens], 1)[:, None] < 0), persistent=False)
        self.register_buffer("slots", table(np.maximum(slots, 0).ravel()), persistent=False)

    def forward(self, q: Tensor, k: Tensor, v: Tensor, *rest: Tensor) -> Tensor:
        (k_c, v_c), (k_m, v_m) = self._memories(k, v, rest)
        q = chunked(q, self.segment)
        k, v = self._window(k, k_m, k_c), self._window(v, v_m, v_c)
        return self.relative(q, k, v, self.hidden, self.missing).flatten(2, 3)[:, :, : self.n]

    def reference(self, q: Tensor, k: Tensor, v: Tensor, *others: Tensor) -> Tensor:
        """Segment by segment, as a language model reads: slots, memory and itself, one softmax a segment."""
        (k_c, v_c), (k_m, v_m) = ((k[:, :, :0], v[:, :, :0]), (k.detach(), v.detach()))
        if self.compressed and others:
            k_c, v_c, *others = others  # type: ignore[assignment]
        if others:
            k_m, v_m = others
        repeat, relative, done = q.shape[1] // k.shape[1], self.relative, []
        k, v, k_c, v_c, k_m, v_m = (x.repeat_interleave(repeat, 1) for x in (k, v, k_c, v_c, k_m, v_m))
        r = relative.vectors(self.compressed + self.memory + self.segment)
        for start in range(0, self.n, self.segment):
            stop, oldest = min(start + self.segment, self.n), max(start - self.memory, 0)
            slots = slice(max(oldest // self.rate - self.compressed, 0), oldest // self.rate)
            keys = torch.cat([k_c[:, :, slots], k_m[:, :, oldest:start], k[:, :, start:stop]], 2)
            values = torch.cat([v_c[:, :, slots], v_m[:, :, oldest:start], v[:, :, start:stop]], 2)
            query, own = q[:, :, start:stop], torch.arange(stop - start, device=q.device)
            lag = own[:, None] + keys.shape[2] - len(own) - torch.arange(keys.shape[2], device=q.device)
            content = torch.einsum("bhid,bhjd->bhij", query + relative.u, keys)
            position = torch.einsum("bhid,hijd->bhij", query + relative.w, r[:, lag.clamp(min=0)])
            scores = ((content + position) / q.shape[-1] ** 0.5).masked_fill(lag < 0, float("-inf"))
            done.append(scores.softmax(-1) @ values)
        return torch.cat(done, 2)

    def _memories(
        self, k: Tensor, v: Tensor, rest: tuple[Tensor, ...]
    ) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        slots = rest[:2] if self.compressed else (k[:, :, :0], v[:, :, :0])
        return slots, rest[-2:] if len(rest) == 2 * bool(self.compressed) + 2 else (k.detach(), v.detach())

    def _window(self, own: Tensor, memory: Tensor, slots: Tensor) -> Tensor:
        """What each segment reads, `[b, h, segments, C + M + T, d]`."""
        parts = [chunked(own, self.segment)]
        if self.memory:
            parts.insert(0, windows(memory, self.memory, self.segment, self.count))
        if self.compressed:
            parts.insert(0, slots.index_select(2, self.slots).unflatten(2, (self.count, self.compressed)))
        return torch.cat(parts, 3) if len(parts) > 1 else parts[0]


class Projections(nn.Module):
    """q, k, v of `x [b, n, D]`, k and v of its compressed slots, and, in training, k and v for the memory."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.qkv, self.rate, self.used = QKV(spec.shape), spec.number("rate"), slots(spec)
        self.memory = bool(spec.number("memory"))
        width = spec.shape.dim
        self.compress = nn.Linear(self.rate * width, width, bias=False) if self.used else None

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        streams = self.qkv(x)
        if self.compress is not None:
            with torch.no_grad():
                old = self.compress(x[:, : self.used * self.rate].unflatten(1, (self.used, self.rate)).flatten(2))
            streams += self._keys(old)
        return streams + self._keys(x.detach()) if self.memory and torch.is_grad_enabled() else streams

    def reference(self, x: Tensor) -> tuple[Tensor, ...]:
        """Slot t is the sum over s of C_s x_(rate t + s), C_s the s-th block of the convolution's weight."""

        def project(x: Tensor, layer: nn.Linear) -> Tensor:
            weight = layer.weight.view(-1, self.qkv.to_q.out_features // self.qkv.heads, x.shape[-1])
            return torch.einsum("bnc,hdc->bhnd", x, weight)

        to_q, to_k, to_v = self.qkv.to_q, self.qkv.to_k, self.qkv.to_v
        streams = [project(x, to_q), project(x, to_k), project(x, to_v)]
        if self.compress is not None:
            with torch.no_grad():
                blocks = self.compress.weight.view(x.shape[-1], self.rate, x.shape[-1]).unbind(1)
                stop = self.used * self.rate
                old = torch.stack([x[:, s : stop : self.rate] @ block.T for s, block in enumerate(blocks)]).sum(0)
            streams += [project(old, to_k), project(old, to_v)]
        if self.memory and torch.is_grad_enabled():
            streams += [project(x.detach(), to_k), project(x.detach(), to_v)]
        return tuple(streams)

    def _keys(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return split_heads(self.qkv.to_k(x), self.qkv.groups), split_heads(self.qkv.to_v(x), self.qkv.groups)


def slots(spec: Spec) -> int:
    """Slots that some segment reads: none where all fits in the memory."""
    if not spec.number("compressed"):
        return 0
    segment = spec.number("segment")
    return ((spec.shape.n - 1) // segment * segment - spec.number("memory")) // spec.number("rate")


def streams(spec: Spec) -> tuple[Tensor, ...]:
    """Random inputs of the core."""
    q, k, v = random_streams(spec.shape)
    if not slots(spec):
        return q, k, v
    k_c = k.new_empty(*k.shape[:2], slots(spec), k.shape[3]).normal_()
    return q, k, v, k_c, torch.randn_like(k_c)


def flops_core(spec: Spec) -> int:
    """A segment and head 2 T d (3 W + 1), W = T + M + C: content, positions, values; 2 W D g d for positions."""
    shape, segment = spec.shape, spec.number("segment")
    width, count = segment + spec.number("memory") + spec.number("compressed"), -(-shape.n // segment)
    mixing = shape.batch * shape.heads * count * 2 * segment * shape.d * (3 * width + 1)
    return mixing + 2 * width * shape.dim * shape.groups * shape.d
