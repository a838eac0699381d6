"""Native sparse attention: compressed blocks, chosen ones, a window, mixed by gates (Yuan et al. 2025, section 3)."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attnprof.contracts import Spec
from attnprof.layers.attention import Attention, dtype_of, merge_heads, split_heads
from attnprof.layers.chosen_blocks import TILE, chosen_part, most_tiles, over_choices, read_places
from attnprof.layers.compressed_blocks import Compress, Sizes, blocks_of
from attnprof.layers.decisions import decided
from attnprof.layers.gathered import GatherCore
from attnprof.layers.gathered import flops_core as gathered_flops
from attnprof.layers.in_turn import in_turn
from attnprof.layers.kv_cache import (
    KVCache,
    appended,
    cached,
    mixed_row,
    pieces,
    random_cache,
    row_weights,
    taken,
)
from attnprof.layers.own_block import own_pairs, own_part
from attnprof.layers.partial_softmax import SoftmaxPart, joined
from attnprof.layers.selecting import selecting
from attnprof.layers.softmax import softmax_attention
from attnprof.pattern import Band, Pattern

FORCED = 3.0  # above what the weights of a row, which sum to 1 a head, can add up to once divided by the heads


class Core(nn.Module):
    """`q [b, h, n, d]`, `k_c, v_c [b, g, slots, d]`, `k_s, v_s, k_w, v_w [b, g, n, d]`, `gates [b, h, n, 3]`."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.sizes, self.params, self.shape = Sizes(spec), spec.params, spec.shape
        self.near = GatherCore(windowed(spec))

    def forward(self, q: Tensor, k_c: Tensor, v_c: Tensor, k_s: Tensor, v_s: Tensor, *rest: Tensor) -> Tensor:
        k_w, v_w, gates = rest
        branches = self.compressed(q, k_c, v_c), self.chosen(q, k_c, k_s, v_s), self.near(q, k_w, v_w)
        mixed = [gate[..., None] * branch for gate, branch in zip(gates.unbind(-1), branches, strict=True)]
        return mixed[0] + mixed[1] + mixed[2]

    def compressed(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Fused attention over the compressed blocks that end by the query; 0 before the first is complete."""
        first, parts = min(self.sizes.length - 1, q.shape[2]), []
        parts.append(torch.zeros_like(q[:, :, :first]))
        for rows, slots in self.sizes.tiles(first):
            seen = ~self.unseen(rows, slots, q.device)
            grouped = q.shape[1] != k.shape[1]
            some = q[:, :, rows], k[:, :, :slots], v[:, :, :slots]
            parts.append(F.scaled_dot_product_attention(*some, attn_mask=seen, enable_gqa=grouped))
        return torch.cat(parts, 2)

    def chosen(self, q: Tensor, k_c: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """One softmax over the own block and the chosen ones."""
        heads, sizes = q.shape[1] // k.shape[1], self.sizes
        scaled = q * q.shape[-1] ** -0.5
        own = own_part(scaled, k, v, sizes.block)
        if not sizes.choices:
            return joined([own])
        index = decided(lambda: self.choose(scaled, k_c))
        rows = scaled.unflatten(1, (-1, heads)).transpose(2, 3).flatten(2, 3)
        blocks = [x[:, :, : sizes.past * sizes.block].unflatten(2, (sizes.past, sizes.block)) for x in (k, v)]
        past = over_choices(chosen_part(rows, blocks[0], blocks[1], index, heads))
        natural = [x.unflatten(2, (-1, heads)).transpose(2, 3).flatten(1, 2) for x in past]
        return joined([own, SoftmaxPart(*natural)])

    @selecting()
    @torch.no_grad()
    def choose(self, q: Tensor, k_c: Tensor) -> Tensor:
        """The blocks that each query of each KV head reads beside its own, `[b, g, n, choices]`; `past` for none."""
        return torch.cat([self.best(q[:, :, rows], k_c[:, :, :slots], rows) for rows, slots in self.sizes.tiles(0)], 2)

    def best(self, q: Tensor, k_c: Tensor, rows: slice) -> Tensor:
        """The same for some queries: the first block, the one before the own, and the heaviest others of the past."""
        sizes, groups, slots = self.sizes, k_c.shape[1], k_c.shape[2]
        place = torch.arange(rows.start, rows.stop, device=q.device)
        own = place.div(sizes.block, rounding_mode="floor")[:, None]
        at = torch.arange(sizes.past, device=q.device)
        weight = q.new_zeros(*k_c.shape[:2], len(place), sizes.past)
        if slots:
            scores = (q.unflatten(1, (groups, -1)).flatten(2, 3) @ k_c.transpose(-2, -1)).unflatten(2, (-1, len(place)))
            shares = scores.masked_fill(self.unseen(rows, slots, q.device), float("-inf")).softmax(-1)
            weight = blocks_of(shares.nan_to_num(0.0).mean(2), sizes, sizes.past)
        forced = (at == 0) | (at == own - 1)
        weight = weight.masked_fill(forced, FORCED).masked_fill(at >= own, float("-inf"))
        best = weight.topk(sizes.choices, sorted=False)
        return best.indices.masked_fill(best.values == float("-inf"), sizes.past)

    def unseen(self, rows: slice, slots: int, device: torch.device) -> Tensor:
        """Which compressed blocks are not complete for a query, `[rows, slots]`."""
        ends = torch.arange(slots, device=device) * self.sizes.stride + self.sizes.length - 1
        return ends > torch.arange(rows.start, rows.stop, device=device)[:, None]

    def reference(self, q: Tensor, k_c: Tensor, v_c: Tensor, k_s: Tensor, v_s: Tensor, *rest: Tensor) -> Tensor:
        """Three masked softmaxes; blocks by the share of each of their strides in the compressed one, by heads."""
        k_w, v_w, gates = rest
        (block, length, stride), n = (int(str(self.params[x])) for x in ("block", "compress", "stride")), q.shape[2]
        place = q.new_ones(n).long().cumsum(0) - 1
        ends = (k_c.new_ones(k_c.shape[2]).long().cumsum(0) - 1) * stride + length
        complete = ends <= place[:, None] + 1
        group = q.shape[1] // k_s.shape[1]
        scores = torch.einsum("bhid,bhcd->bhic", q, k_c.repeat_interleave(group, 1)) / q.shape[-1] ** 0.5
        shares = scores.masked_fill(~complete, -torch.inf).softmax(-1).masked_fill(~complete, 0.0).detach()
        of, count = place // block, -(-n // block)
        weight = q.new_zeros(q.shape[0], k_s.shape[1], n, count)
        for slot in range(k_c.shape[2]):
            for piece in range(slot * stride, slot * stride + length, stride):
                held = shares[..., slot].unflatten(1, (-1, group)).sum(2)
                weight[..., piece // block] += held
        which = torch.arange(count, device=q.device)
        behind = which < of[:, None]
        sure = behind & ((which == 0) | (which == of[:, None] - 1))
        weight = weight.masked_fill(sure, torch.inf).masked_fill(~behind, -torch.inf)
        rank = weight.sort(dim=-1, descending=True, stable=True).indices.argsort(-1)
        taken = (behind & (rank < int(str(self.params["selected"])) - 1)).repeat_interleave(group, 1)
        mask = taken.gather(-1, of.expand(*taken.shape[:3], n)) | (of == of[:, None])
        lag = place[:, None] - place
        parts = (
            softmax_attention(q, k_c, v_c, complete),
            softmax_attention(q, k_s, v_s, mask & (lag >= 0)),
            softmax_attention(q, k_w, v_w, (lag >= 0) & (lag < max(int(str(self.params["window"])), 1))),
        )
        return torch.einsum("bhic,cbhid->bhid", gates, torch.stack(parts))

    def step(self, q: Tensor, gates: Tensor, state: NSAState) -> tuple[Tensor, NSAState]:
        """One query over what the state has, its own token included: compressed blocks, chosen ones, the window."""
        slots, kept, recent = state.slots, state.kept, state.recent
        with selecting():
            best = self.step_choice(q, slots, (kept.n - 1) // self.sizes.block)
        read = read_places(best, self.sizes.block, kept.n)
        keys, values = taken(kept, read)
        parts = [mixed_row(q, *pieces(slots)) if slots.n else torch.zeros_like(q)]
        parts += [mixed_row(q, [keys], [values]), mixed_row(q, *pieces(recent))]
        return torch.stack([gates[..., at, None] * part for at, part in enumerate(parts)]).sum(0), state

    def step_choice(self, q: Tensor, slots: KVCache, own: int) -> Tensor:
        """The blocks before the own one that a query reads, `[b, g, choices]`."""
        weight, choices = q.new_zeros(*slots.k.shape[:2], own), min(self.sizes.choices, own)
        if slots.n and choices:
            shares = row_weights(q * q.shape[-1] ** -0.5, pieces(slots)[0]).mean(2)
            weight = blocks_of(shares, self.sizes, own)
        at = torch.arange(own, device=q.device)
        return weight.masked_fill((at == 0) | (at == own - 1), FORCED).topk(choices, sorted=False).indices


class NSAState(NamedTuple):
    """Compressed blocks, all tokens, those of the window, and the keys and values that wait to be compressed."""

    slots: KVCache
    kept: KVCache
    recent: KVCache
    waiting: Tensor


class Projections(nn.Module):
    """Queries, keys and values of each branch with weights of their own, compressed ones, and the gates."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        shape, sizes = spec.shape, Sizes(spec)
        self.heads, self.groups = shape.heads, shape.groups
        self.to_q = nn.Linear(shape.dim, shape.heads * shape.d, bias=False)
        self.to_kv = nn.Linear(shape.dim, 6 * shape.groups * shape.d, bias=False)
        self.to_gates = nn.Linear(shape.dim, 3 * shape.heads)
        self.compress_k, self.compress_v = (Compress(sizes, shape.d) for _ in range(2))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        q, k_c, v_c, *others = self.tokens(x)
        return q, self.compress_k(k_c), self.compress_v(v_c), *others

    def tokens(self, x: Tensor) -> tuple[Tensor, ...]:
        """What every token gives, before anything is compressed."""
        streams = split_heads(self.to_kv(x), 6 * self.groups).split(self.groups, 1)
        gates = split_heads(self.to_gates(x).sigmoid(), self.heads)
        return split_heads(self.to_q(x), self.heads), *streams, gates

    def compressed(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of blocks of `raw [b, 2 g, n, d]`."""
        return self.compress_k(raw[:, : self.groups]), self.compress_v(raw[:, self.groups :])


class Layer(Attention):
    """The attention layer; a step may complete a compressed block."""

    core: Core
    project: Projections

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec.shape, Projections(spec), Core(spec))
        self.shape, self.sizes = spec.shape, Sizes(spec)

    def state(self, n: int) -> NSAState:
        """What is kept of n tokens, of random content."""
        shape, sizes = self.shape, self.sizes
        slots, kept, recent = (random_cache(shape, size) for size in (sizes.slots_of(n), n, min(n, sizes.window)))
        waiting = torch.cat([kept.k, kept.v], 1)[:, :, sizes.slots_of(n) * sizes.stride :]
        return NSAState(slots, kept, recent._replace(n=n, ring=sizes.window), waiting)

    def prefill(self, x: Tensor) -> NSAState:
        """The state after the tokens `x [b, n, D]`."""
        _, k_c, v_c, k_s, v_s, k_w, v_w, _ = self.project.tokens(x)
        raw, slots = torch.cat([k_c, v_c], 1), self.sizes.slots_of(x.shape[1])
        done = self.project.compressed(raw) if slots else (k_c[:, :, :0], v_c[:, :, :0])
        waiting = raw[:, :, slots * self.sizes.stride :]
        return NSAState(cached(*done), cached(k_s, v_s), cached(k_w, v_w, self.sizes.window), waiting)

    @in_turn(axis=1)
    def step(self, x: Tensor, state: NSAState) -> tuple[Tensor, NSAState]:
        """One token more, `x [b, 1, D]`."""
        q, k_c, v_c, k_s, v_s, k_w, v_w, gates = self.project.tokens(x)
        slots, waiting = state.slots, torch.cat([state.waiting, torch.cat([k_c, v_c], 1)], 2)
        if waiting.shape[2] == self.sizes.length:
            slots = appended(slots, *self.project.compressed(waiting))
            waiting = waiting[:, :, self.sizes.stride :]
        kept, recent = appended(state.kept, k_s, v_s), appended(state.recent, k_w, v_w)
        mixed, state = self.core.step(q, gates, NSAState(slots, kept, recent, waiting))
        return self.out(merge_heads(mixed)), state


def windowed(spec: Spec) -> Spec:
    """The spec of the window's branch."""
    n, size = spec.shape.n, max(spec.number("window"), 1)
    return replace(spec, pattern=Pattern("window", n, True, lambda layer, head: Band(size - 1)))


def streams(spec: Spec) -> tuple[Tensor, ...]:
    """Random inputs of the core."""
    shape, slots = spec.shape, Sizes(spec).slots
    rows = (shape.heads, shape.n), *[(shape.groups, slots)] * 2, *[(shape.groups, shape.n)] * 4
    found = [torch.randn(shape.batch, *size, shape.d, dtype=dtype_of(shape)) for size in rows]
    return *found, torch.rand(shape.batch, shape.heads, shape.n, 3, dtype=dtype_of(shape))


def flops_core(spec: Spec) -> int:
    """4 d a pair: of compressed blocks by stretches of queries, own blocks, tiles of choices, and the window."""
    shape, sizes = spec.shape, Sizes(spec)
    seen = sum((rows.stop - rows.start) * slots for rows, slots in sizes.tiles(min(sizes.length - 1, sizes.n)))
    own = shape.heads * own_pairs(shape.n, sizes.block)
    tiles = shape.groups * most_tiles(shape.n * sizes.choices, sizes.past) if sizes.choices else 0
    past = tiles * TILE * (shape.heads // shape.groups) * sizes.block
    return 4 * shape.batch * shape.d * (shape.heads * seen + own + past) + gathered_flops(windowed(spec))


def flops_selection(spec: Spec) -> int:
    """2 d a query head and compressed block, by stretches of queries: the scores that weigh the blocks."""
    shape, sizes = spec.shape, Sizes(spec)
    if not sizes.choices:
        return 0
    return 2 * shape.batch * shape.heads * shape.d * sum((r.stop - r.start) * c for r, c in sizes.tiles(0))
