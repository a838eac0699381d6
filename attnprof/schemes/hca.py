"""Heavily compressed attention: the last tokens, and an entry for every 128 of all tokens (DeepSeek-AI 2026)."""

from __future__ import annotations

import torch
from torch import Tensor

from attnprof.contracts import Spec
from attnprof.layers.attention import dtype_of, merge_heads
from attnprof.layers.compressed_entries import (
    EntryCore,
    EntryLayer,
    EntryProjections,
    EntryState,
    reach,
    window_pairs,
)
from attnprof.layers.in_turn import in_turn
from attnprof.layers.kv_cache import pieces
from attnprof.layers.partial_softmax import SoftmaxPart, softmax_part


class Core(EntryCore):
    """Every complete entry is read."""

    def far(self, q: Tensor, entries: Tensor, *index: Tensor) -> SoftmaxPart:
        ends = (torch.arange(entries.shape[2], device=q.device) + 1) * self.rate
        unseen = ends > torch.arange(1, q.shape[2] + 1, device=q.device)[:, None]
        part = softmax_part(q.flatten(1, 2)[:, None], entries, entries, unseen)
        return SoftmaxPart(*(x[:, 0].unflatten(1, q.shape[1:3]) for x in part))

    def reads(self, complete: Tensor, *index: Tensor) -> Tensor:
        return complete


class Layer(EntryLayer[EntryProjections]):
    """The attention layer; a step reads every entry."""

    core: Core

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec, EntryProjections(spec), Core(spec))

    @in_turn(axis=1)
    def step(self, x: Tensor, state: EntryState) -> tuple[Tensor, EntryState]:
        """One token more, `x [b, 1, D]`."""
        q, state = self.gone_on(x, state)
        return self.out(merge_heads(self.core.step(q, pieces(state.entries)[0], state.recent))), state


def streams(spec: Spec) -> tuple[Tensor, ...]:
    """Random inputs of the core."""
    shape = spec.shape
    rows = (shape.heads, shape.n), (1, shape.n), (1, shape.n // spec.number("rate"))
    return tuple(torch.randn(shape.batch, *size, shape.d, dtype=dtype_of(shape)) for size in rows)


def flops_core(spec: Spec) -> int:
    """4 d a head and pair: of blocks of the window with themselves and the one before, and of all entries."""
    shape, rate = spec.shape, spec.number("rate")
    pairs = window_pairs(shape.n, reach(spec)) + shape.n * (shape.n // rate)
    return 4 * shape.batch * shape.heads * shape.d * pairs
