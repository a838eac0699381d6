"""Heavily compressed attention: the last tokens, and an entry for every 128 of all tokens (DeepSeek-AI 2026)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from attnprof.contracts import Spec
from attnprof.layers.attention import Attention, dtype_of, merge_heads, split_heads
from attnprof.layers.compressed_entries import (
    Compressor,
    EntryState,
    continued,
    entry_row,
    random_entries,
    reach,
    started,
    window_pairs,
    window_part,
)
from attnprof.layers.kv_cache import appended, cached, pieces
from attnprof.layers.partial_softmax import joined, softmax_part


class Core(nn.Module):
    """`q [b, h, n, d]`, `kv [b, 1, n, d]`, `entries [b, 1, n // rate, d]` to `[b, h, n, d]`; `sinks [h]`."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.window, self.rate = reach(spec), spec.number("rate")
        self.sinks = nn.Parameter(torch.randn(spec.shape.heads))

    def forward(self, q: Tensor, kv: Tensor, entries: Tensor) -> Tensor:
        scaled = q * q.shape[-1] ** -0.5
        parts = [window_part(scaled, kv, self.window)]
        if entries.shape[2]:
            ends = (torch.arange(entries.shape[2], device=q.device) + 1) * self.rate
            unseen = ends > torch.arange(1, q.shape[2] + 1, device=q.device)[:, None]
            rows = scaled.flatten(1, 2)[:, None]
            part = softmax_part(rows, entries, entries, unseen)
            parts.append(type(part)(*(x[:, 0].unflatten(1, q.shape[1:3]) for x in part)))
        return joined(parts, self.sinks[:, None, None])

    def reference(self, q: Tensor, kv: Tensor, entries: Tensor) -> Tensor:
        """One softmax over tokens, entries and the sink, whose column is left out (a head at a time)."""
        place = q.new_ones(q.shape[2]).cumsum(0)
        lag, slot = place[:, None] - place, entries.new_ones(entries.shape[2]).cumsum(0)
        seen = torch.cat([(lag >= 0) & (lag < self.window), slot * self.rate <= place[:, None]], 1)
        keys, found = torch.cat([kv, entries], 2)[:, 0], []
        for head, sink in enumerate(self.sinks):
            scores = torch.einsum("bid,bjd->bij", q[:, head], keys) / q.shape[-1] ** 0.5
            scores = scores.masked_fill(~seen, -torch.inf)
            weights = torch.cat([scores, sink.expand(*scores.shape[:2], 1)], -1).softmax(-1)
            found.append(weights[..., :-1] @ keys)
        return torch.stack(found, 1)

    def step(self, q: Tensor, state: EntryState) -> tuple[Tensor, EntryState]:
        """One query over the recent tokens, its own among them, and every entry."""
        return entry_row(q, pieces(state.entries)[0], state.recent, self.sinks), state


class Projections(nn.Module):
    """Queries of every head, one vector a token, and the entries."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        shape = spec.shape
        self.heads = shape.heads
        self.to_q, self.to_kv = (nn.Linear(shape.dim, heads * shape.d, bias=False) for heads in (shape.heads, 1))
        self.norm = nn.RMSNorm(shape.d, eps=1e-6)
        self.compress = Compressor(shape.dim, shape.d, spec.number("rate"), overlap=False)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return *self.tokens(x), self.compress(x)[:, None]

    def tokens(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Queries `[b, h, n, d]`, and key and value in one, `[b, 1, n, d]`."""
        return split_heads(self.to_q(x), self.heads), self.norm(self.to_kv(x))[:, None]


class Layer(Attention):
    """The attention layer; a step may complete an entry."""

    core: Core
    project: Projections

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec.shape, Projections(spec), Core(spec))
        self.shape, self.window = spec.shape, reach(spec)

    def state(self, n: int) -> EntryState:
        """The last tokens, an entry for every `rate`, and the tokens of the next one, of random content."""
        shape = self.shape
        kv = torch.randn(shape.batch, 1, min(n, self.window), shape.d, dtype=dtype_of(shape))
        recent = cached(kv, kv[..., :0], self.window)._replace(n=n)
        return EntryState(recent, *random_entries(self.project.compress, shape, shape.d, n))

    def prefill(self, x: Tensor) -> EntryState:
        """The state after the tokens `x [b, n, D]`."""
        kv = self.project.tokens(x)[1]
        return EntryState(cached(kv, kv[..., :0], self.window), *started(self.project.compress, x))

    def step(self, x: Tensor, state: EntryState) -> tuple[Tensor, EntryState]:
        """One token more, `x [b, 1, D]`."""
        q, kv = self.project.tokens(x)
        entries = continued(self.project.compress, x, state.entries, state.waiting)
        mixed, state = self.core.step(q, EntryState(appended(state.recent, kv, kv[..., :0]), *entries))
        return self.out(merge_heads(mixed)), state


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
