"""Keys and values shortened along the sequence, and attention over the slots so made (Liu et al. 2018, 4.2.4)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attnprof.layers.attention import merge_heads, split_heads
from attnprof.layers.in_turn import in_turn
from attnprof.layers.index_tables import table
from attnprof.layers.kv_cache import KVCache, appended, cached, mixed_row, pieces, random_cache
from attnprof.layers.softmax import attend, softmax_attention
from attnprof.shapes import Shape


class Convolution(nn.Module):
    """A convolution over all heads, kernel = stride, no bias: `[b, g, n, d]` to `[b, g, ceil(n / stride), d]`."""

    def __init__(self, width: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.weight = nn.Linear(stride * width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        rows = merge_heads(x)
        rows = F.pad(rows, (0, 0, 0, -rows.shape[1] % self.stride)).unflatten(1, (-1, self.stride)).flatten(2)
        return split_heads(self.weight(rows), x.shape[1])

    def reference(self, x: Tensor) -> Tensor:
        """Slot t is the sum over s of W_s x_(stride t + s), W_s the s-th block of the weight; beyond the end x is 0."""
        width = x.shape[1] * x.shape[3]
        tokens = x.permute(0, 2, 1, 3).reshape(len(x), x.shape[2], width)
        slots = tokens.new_zeros(len(x), -(-x.shape[2] // self.stride), width)
        for s in range(self.stride):
            part = tokens[:, s :: self.stride] @ self.weight.weight[:, s * width : (s + 1) * width].T
            slots = slots + torch.cat([part, part.new_zeros(len(x), slots.shape[1] - part.shape[1], width)], 1)
        return slots.reshape(len(x), -1, x.shape[1], x.shape[3]).permute(0, 2, 1, 3)


class Convolved(nn.Module):
    """Keys and values, each by a convolution of its own."""

    def __init__(self, width: int, stride: int) -> None:
        super().__init__()
        self.of_k, self.of_v = Convolution(width, stride), Convolution(width, stride)

    def forward(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        return self.of_k(k), self.of_v(v)

    def reference(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """The same slot by slot."""
        return self.of_k.reference(k), self.of_v.reference(v)


def pooled(x: Tensor, factor: int, kind: str) -> Tensor:
    """The mean or the maximum of every `factor` rows; the last slot of a ragged `x [b, g, n, d]` is of the rest."""
    rest = -x.shape[2] % factor
    blocks = F.pad(x, (0, 0, 0, rest), value=float("-inf") if kind == "max" else 0.0).unflatten(2, (-1, factor))
    if kind == "max":
        return blocks.amax(3)
    sums = blocks.sum(3)
    return torch.cat([sums[:, :, :-1] / factor, sums[:, :, -1:] / (factor - rest)], 2)


class SlotAttention(nn.Module):
    """Queries over slots of `factor` tokens; causal, over those that ended, and a learned null slot for the start.

    Query i sees floor((i + 1) / factor) slots. So queries are taken in groups of `factor`, shifted by one: one row of a
    mask serves a group.
    """

    hidden: Tensor | None

    def __init__(self, n: int, factor: int, causal: bool, groups: int, width: int) -> None:
        super().__init__()
        self.factor, self.causal, self.whole = factor, causal, n // factor
        self.null = nn.Parameter(torch.randn(2, groups, 1, width)) if causal else None
        count = self.whole + 1
        made = table(lambda: np.triu(np.ones((count, count), np.bool_), 1), (count, count)) if causal else None
        self.register_buffer("hidden", made, persistent=False)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """`q [b, h, n, d]`, slots `k, v [b, g, ceil(n / factor), d]` to `[b, h, n, d]`."""
        if self.hidden is None:
            return attend(q, k, v)
        k, v = self._with_null(k, 0), self._with_null(v, 1)
        rows, count = q.shape[2], self.whole + 1
        q = F.pad(q, (0, 0, 1, count * self.factor - 1 - rows)).unflatten(2, (count, self.factor))
        groups = q.transpose(2, 3).unflatten(1, (k.shape[1], -1))
        copies = groups.shape[2] * self.factor
        mixed = attend(groups.flatten(2, 4), k, v, self.hidden.repeat(copies, 1))
        mixed = mixed.unflatten(2, (-1, self.factor, count)).transpose(3, 4).flatten(3, 4).flatten(1, 2)
        return mixed[:, :, 1 : rows + 1]

    def reference(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Every query over every slot, masked by the position of the slot's last token."""
        if self.null is None:
            return softmax_attention(q, k, v)
        k, v = (torch.cat([null.expand(len(x), -1, -1, -1), x], 2) for null, x in zip(self.null, (k, v), strict=True))
        last = torch.arange(k.shape[2], device=q.device) * self.factor - 1  # of slot 0, the null slot, before all
        return softmax_attention(q, k, v, last <= torch.arange(q.shape[2], device=q.device)[:, None])

    def _with_null(self, slots: Tensor, at: int) -> Tensor:
        assert self.null is not None
        null = self.null[at].expand(slots.shape[0], -1, -1, -1)
        return torch.cat([null, slots[:, :, : self.whole]], 2)

    @staticmethod
    def pairs(n: int, factor: int, causal: bool) -> int:
        """Query-slot pairs computed for one head, padding and masked ones included."""
        whole = n // factor + 1
        return whole * factor * whole if causal else n * -(-n // factor)


class SlotState(NamedTuple):
    """The slots of whole runs of tokens, and keys and values `[b, g, rows, d]` of the run that is not complete."""

    slots: KVCache
    k: Tensor
    v: Tensor


class SlotDecoding:
    """`state`, `prefill` and `step` of a causal core that reads slots: those that are complete, the own token's too."""

    shape: Shape
    slots: SlotAttention

    def made(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """The slots of keys and values `[b, g, n, d]`."""
        raise NotImplementedError

    def state(self, n: int) -> SlotState:
        """What is kept of n tokens, of random content."""
        whole, rest = divmod(n, self.slots.factor)
        open_run = random_cache(self.shape, rest)
        return SlotState(random_cache(self.shape, whole), open_run.k, open_run.v)

    def prefill(self, q: Tensor, k: Tensor, v: Tensor) -> SlotState:
        """The state after the tokens `k, v [b, g, n, d]`."""
        whole = k.shape[2] // self.slots.factor * self.slots.factor
        done = self.made(k[:, :, :whole], v[:, :, :whole]) if whole else (k[:, :, :0], v[:, :, :0])
        return SlotState(cached(*done), k[:, :, whole:].clone(), v[:, :, whole:].clone())

    @in_turn()
    def step(self, q: Tensor, k: Tensor, v: Tensor, state: SlotState) -> tuple[Tensor, SlotState]:
        """One token more, which may complete a slot, over the null slot and all complete ones."""
        slots, k, v = state.slots, torch.cat([state.k, k], 2), torch.cat([state.v, v], 2)
        if k.shape[2] == self.slots.factor:
            slots, k, v = appended(slots, *self.made(k, v)), k[:, :, :0], v[:, :, :0]
        assert self.slots.null is not None
        null = [x.expand(len(q), -1, -1, -1) for x in self.slots.null]
        keys, values = pieces(slots)
        return mixed_row(q, [null[0], *keys], [null[1], *values]), SlotState(slots, k, v)
