"""Compressed sparse attention: the last tokens, and the best of entries of four tokens each (DeepSeek-AI 2026)."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from attnprof.contracts import Spec
from attnprof.layers.attention import Attention, dtype_of, merge_heads, split_heads
from attnprof.layers.chosen_keys import choice_pairs, choose_keys, read_chosen
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
from attnprof.layers.decisions import decided
from attnprof.layers.indexer import index_scores
from attnprof.layers.kv_cache import KVCache, appended, cached, pieces, taken
from attnprof.layers.partial_softmax import SoftmaxPart, joined
from attnprof.layers.selecting import selecting
from attnprof.words import Level


class Core(nn.Module):
    """`q [b, h, n, d]`, `kv [b, 1, n, d]`, `entries [b, 1, e, d]`; index `q [b, H, n, d_I]`, `k [b, e, d_I]`, `w`."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.window, self.rate, self.topk = reach(spec), spec.number("rate"), spec.number("topk")
        self.sinks = nn.Parameter(torch.randn(spec.shape.heads))

    def forward(self, q: Tensor, kv: Tensor, entries: Tensor, *index: Tensor) -> Tensor:
        scaled = q * q.shape[-1] ** -0.5
        parts = [window_part(scaled, kv, self.window)]
        if entries.shape[2]:
            chosen, hidden = decided(lambda: self.choose(*index))
            keys = entries.transpose(1, 2)
            mixed, sums = (x.transpose(1, 2) for x in read_chosen(scaled.transpose(1, 2), keys, keys, chosen, hidden))
            parts.append(SoftmaxPart.of_output(mixed, sums[..., None]))
        return joined(parts, self.sinks[:, None, None])

    @selecting()
    @torch.no_grad()
    def choose(self, q: Tensor, k: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """The entries that each query reads `[b, n, topk]`, and which of these are not complete for it."""
        return choose_keys(q, k, weights, min(self.topk, k.shape[1]), self.rate)  # type: ignore[no-any-return]

    def reference(self, q: Tensor, kv: Tensor, entries: Tensor, *index: Tensor) -> Tensor:
        """One softmax over tokens, the best complete entries and the sink, whose column is left out."""
        q_i, k_i, weights = (x.detach() for x in index)
        place, slot = q.new_ones(q.shape[2]).cumsum(0), entries.new_ones(entries.shape[2]).cumsum(0)
        lag, complete = place[:, None] - place, slot * self.rate <= place[:, None]
        scores = torch.einsum("bhi,bhij->bij", weights, torch.einsum("bhid,bjd->bhij", q_i, k_i).clamp(min=0))
        order = scores.masked_fill(~complete, -torch.inf).sort(dim=-1, descending=True, stable=True)
        chosen = complete & (order.indices.argsort(-1) < self.topk)
        near = ((lag >= 0) & (lag < self.window)).expand(len(q), -1, -1)
        seen, keys, found = torch.cat([near, chosen], 2), torch.cat([kv, entries], 2)[:, 0], []
        for head, sink in enumerate(self.sinks):
            scores = torch.einsum("bid,bjd->bij", q[:, head], keys) / q.shape[-1] ** 0.5
            scores = scores.masked_fill(~seen, -torch.inf)
            shares = torch.cat([scores, sink.expand(*scores.shape[:2], 1)], -1).softmax(-1)
            found.append(shares[..., :-1] @ keys)
        return torch.stack(found, 1)

    def step(self, q: Tensor, index: tuple[Tensor, Tensor], state: CSAState) -> tuple[Tensor, CSAState]:
        """One query over the recent tokens, its own among them, and the best entries."""
        entries = state.own.entries.k
        if state.own.entries.n:
            with selecting():
                scores = [index_scores(index[0], piece[:, 0], index[1]) for piece in pieces(state.index_keys)[0]]
                chosen = torch.cat(scores, -1).sort(dim=-1, descending=True, stable=True).indices[..., : self.topk]
            entries = taken(state.own.entries, chosen)[0]
        return entry_row(q, [entries], state.own.recent, self.sinks), state


class CSAState(NamedTuple):
    """The recent tokens and the entries, the entries' index keys, and what waits to become one."""

    own: EntryState
    index_keys: KVCache
    waiting: Tensor


class Projections(nn.Module):
    """Queries of every head, one vector a token, the entries, and all that chooses among them."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        shape, rate = spec.shape, spec.number("rate")
        self.heads, self.index_heads, width = shape.heads, spec.number("index_heads"), spec.number("index_dim")
        self.to_q, self.to_kv = (nn.Linear(shape.dim, heads * shape.d, bias=False) for heads in (shape.heads, 1))
        self.norm = nn.RMSNorm(shape.d, eps=1e-6)
        self.compress = Compressor(shape.dim, shape.d, rate, overlap=True)
        self.index_q = nn.Linear(shape.dim, self.index_heads * width, bias=False)
        self.index_weights = nn.Linear(shape.dim, self.index_heads, bias=False)
        self.index_compress = Compressor(shape.dim, width, rate, overlap=True)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        with selecting(), torch.no_grad():
            q, weights = self.index(x)
            keys = self.index_compress(x)
        return *self.tokens(x), self.compress(x)[:, None], q, keys, weights

    def tokens(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Queries `[b, h, n, d]`, and key and value in one, `[b, 1, n, d]`."""
        return split_heads(self.to_q(x), self.heads), self.norm(self.to_kv(x))[:, None]

    def index(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Index queries `[b, H, n, d_I]` and the weights of their heads `[b, H, n]`."""
        return split_heads(self.index_q(x), self.index_heads), self.index_weights(x).transpose(1, 2)


class Layer(Attention):
    """The attention layer; a step may complete an entry and its index key."""

    core: Core
    project: Projections

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec.shape, Projections(spec), Core(spec))
        self.shape, self.window, self.width = spec.shape, reach(spec), spec.number("index_dim")

    def state(self, n: int) -> CSAState:
        """The last tokens, entries and index keys, and the tokens of the next ones, of random content."""
        shape, project = self.shape, self.project
        kv = torch.randn(shape.batch, 1, min(n, self.window), shape.d, dtype=dtype_of(shape))
        recent = cached(kv, kv[..., :0], self.window)._replace(n=n)
        own = EntryState(recent, *random_entries(project.compress, shape, shape.d, n))
        return CSAState(own, *random_entries(project.index_compress, shape, self.width, n))

    def prefill(self, x: Tensor) -> CSAState:
        """The state after the tokens `x [b, n, D]`."""
        kv = self.project.tokens(x)[1]
        own = EntryState(cached(kv, kv[..., :0], self.window), *started(self.project.compress, x))
        return CSAState(own, *started(self.project.index_compress, x))

    def step(self, x: Tensor, state: CSAState) -> tuple[Tensor, Any]:
        """One token more, `x [b, 1, D]`."""
        (q, kv), (recent, entries, waiting) = self.project.tokens(x), state.own
        own = EntryState(appended(recent, kv, kv[..., :0]), *continued(self.project.compress, x, entries, waiting))
        with selecting():
            index = continued(self.project.index_compress, x, state.index_keys, state.waiting)
            asks = self.project.index(x)
        mixed, state = self.core.step(q, asks, CSAState(own, *index))
        return self.out(merge_heads(mixed)), state


def streams(spec: Spec) -> tuple[Tensor, ...]:
    """Random inputs of the core."""
    shape, entries = spec.shape, spec.shape.n // spec.number("rate")
    heads, width = spec.number("index_heads"), spec.number("index_dim")
    own = (shape.heads, shape.n, shape.d), (1, shape.n, shape.d), (1, entries, shape.d)
    index = (heads, shape.n, width), (entries, width), (heads, shape.n)
    return tuple(torch.randn(shape.batch, *size, dtype=dtype_of(shape)) for size in (*own, *index))


def flops_core(spec: Spec) -> int:
    """4 d a head and pair: of blocks of the window with themselves and the one before, and of chosen entries."""
    shape, entries = spec.shape, spec.shape.n // spec.number("rate")
    pairs = window_pairs(shape.n, reach(spec)) + shape.n * min(spec.number("topk"), entries)
    return 4 * shape.batch * shape.heads * shape.d * pairs


def flops_selection(spec: Spec) -> int:
    """2 H (d_I + 1) a pair of a query and an entry, by stretches; above the core 2 D (H d_I + H + 4 d_I) a token."""
    shape, heads, width = spec.shape, spec.number("index_heads"), spec.number("index_dim")
    rate, found = spec.number("rate"), 0
    if shape.n >= rate:
        found = 2 * heads * (width + 1) * shape.batch * choice_pairs(shape.batch, heads, shape.n, rate)
    made = 0 if shape.level is Level.CORE else heads * width + heads + 4 * width
    return found + 2 * shape.batch * shape.n * shape.dim * made
