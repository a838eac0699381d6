"""Compressed sparse attention: the last tokens, and the best of entries of four tokens each (DeepSeek-AI 2026)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from attnprof.contracts import Spec
from attnprof.layers.attention import dtype_of, merge_heads, split_heads
from attnprof.layers.chosen_keys import choice_pairs, choose_keys, read_chosen
from attnprof.layers.compressed_entries import (
    Compressor,
    EntryCore,
    EntryLayer,
    EntryProjections,
    EntryState,
    continued,
    random_entries,
    reach,
    started,
    window_pairs,
)
from attnprof.layers.decisions import decided
from attnprof.layers.in_turn import in_turn
from attnprof.layers.indexer import index_scores
from attnprof.layers.kv_cache import pieces, taken
from attnprof.layers.partial_softmax import SoftmaxPart
from attnprof.layers.selecting import selecting
from attnprof.words import Level


class Core(EntryCore):
    """The `topk` best entries are read; index `q [b, H, n, d_I]`, `k [b, e, d_I]` and weights `[b, H, n]` say which."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.topk = spec.number("topk")

    def far(self, q: Tensor, entries: Tensor, *index: Tensor) -> SoftmaxPart:
        chosen, hidden = decided(lambda: self.choose(*index))
        keys = entries.transpose(1, 2)
        mixed, sums = (x.transpose(1, 2) for x in read_chosen(q.transpose(1, 2), keys, keys, chosen, hidden))
        return SoftmaxPart.of_output(mixed, sums[..., None])

    @selecting()
    @torch.no_grad()
    def choose(self, q: Tensor, k: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """The entries that each query reads `[b, n, topk]`, and which of these are not complete for it."""
        return choose_keys(q, k, weights, min(self.topk, k.shape[1]), self.rate)  # type: ignore[no-any-return]

    def reads(self, complete: Tensor, *index: Tensor) -> Tensor:
        q, k, weights = (x.detach() for x in index)
        scores = torch.einsum("bhi,bhij->bij", weights, torch.einsum("bhid,bjd->bhij", q, k).clamp(min=0))
        order = scores.masked_fill(~complete, -torch.inf).sort(dim=-1, descending=True, stable=True)
        return complete & (order.indices.argsort(-1) < self.topk)

    def chosen_of(self, state: EntryState, q: Tensor, weights: Tensor) -> Tensor:
        """The best entries for one query."""
        assert state.indexed is not None
        if not state.entries.n:
            return state.entries.k
        with selecting():
            scores = [index_scores(q, piece[:, 0], weights) for piece in pieces(state.indexed[0])[0]]
            best = torch.cat(scores, -1).sort(dim=-1, descending=True, stable=True).indices[..., : self.topk]
        return taken(state.entries, best)[0]


class Projections(EntryProjections):
    """Queries of every head, one vector a token, the entries, and all that chooses among them."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec, overlap=True)
        dim, self.index_heads, width = spec.shape.dim, spec.number("index_heads"), spec.number("index_dim")
        self.index_q = nn.Linear(dim, self.index_heads * width, bias=False)
        self.index_weights = nn.Linear(dim, self.index_heads, bias=False)
        self.index_compress = Compressor(dim, width, spec.number("rate"), overlap=True)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        with selecting(), torch.no_grad():
            q, weights = self.index(x)
            keys = self.index_compress(x)
        return *super().forward(x), q, keys, weights

    def index(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Index queries `[b, H, n, d_I]` and the weights of their heads `[b, H, n]`."""
        return split_heads(self.index_q(x), self.index_heads), self.index_weights(x).transpose(1, 2)


class Layer(EntryLayer[Projections]):
    """The attention layer; a step may complete an entry and its index key."""

    core: Core

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec, Projections(spec), Core(spec))
        self.width = spec.number("index_dim")

    def state(self, n: int) -> EntryState:
        """What is kept of n tokens, of random content."""
        index = random_entries(self.project.index_compress, self.shape, self.width, n)
        return super().state(n)._replace(indexed=index)

    def prefill(self, x: Tensor) -> EntryState:
        """The state after the tokens `x [b, n, D]`."""
        return super().prefill(x)._replace(indexed=started(self.project.index_compress, x))

    @in_turn(axis=1)
    def step(self, x: Tensor, state: EntryState) -> tuple[Tensor, EntryState]:
        """One token more, `x [b, 1, D]`."""
        q, state = self.gone_on(x, state)
        assert state.indexed is not None
        with selecting():
            state = state._replace(indexed=continued(self.project.index_compress, x, *state.indexed))
            asks = self.project.index(x)
        mixed = self.core.step(q, [self.core.chosen_of(state, *asks)], state.recent)
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
