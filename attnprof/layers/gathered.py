"""Block-sparse attention in plain torch: gather the keys of each query tile, mix, put the rows back.

Work and memory follow the plan's tiles, so a pattern with O(n) edges runs in O(n), forward and backward. Parts of one
softmax are merged by their maxima and sums, as in online softmax (Milakov and Gimelshein 2018).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attnprof.contracts import Spec
from attnprof.layers.band_decoding import BandDecoding
from attnprof.layers.block_view import BlockView, shifted
from attnprof.layers.edge_softmax import softmax_over_edges
from attnprof.layers.index_tables import table
from attnprof.layers.lowering.lower import lower
from attnprof.layers.lowering.tiling import TilePart, TilePlan, TileStack
from attnprof.pattern import Union
from attnprof.pattern.slices import Bools

Partial = tuple[Tensor, Tensor, Tensor]
COLUMNS = 4096


class GatherCore(BandDecoding, nn.Module):
    """`q [b, h, n, d]`, `k, v [b, g, n, d]` along the tiles of the pattern's plan."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.spec = spec
        self.groups = head_groups(spec)
        self.plans = nn.ModuleList(PlannedHeads(plans) for _, plans in self.groups)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return self.with_sinks(q, k, v)

    def with_sinks(self, q: Tensor, k: Tensor, v: Tensor, sinks: Tensor | None = None) -> Tensor:
        """The same; with `sinks [h]`, each row's softmax has one more score, of a key without a value."""
        repeat = q.shape[1] // k.shape[1]
        if repeat > 1:
            k, v = k.repeat_interleave(repeat, 1), v.repeat_interleave(repeat, 1)
        if len(self.groups) == 1:
            return self.plans[0](q, k, v, sinks)
        parts = zip(self.groups, self.plans, strict=True)
        mixed = [run(q[:, at], k[:, at], v[:, at], None if sinks is None else sinks[at]) for (at, _), run in parts]
        order = np.argsort(np.concatenate([at for at, _ in self.groups]))
        return torch.cat(mixed, 1)[:, order.tolist()]

    def reference(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Softmax over the edges of the pattern."""
        return softmax_over_edges(self.spec, q, k, v)

    @property
    def executed(self) -> int:
        """Query-key pairs computed, over all heads, for one batch item."""
        return sum(plans[0].executed * len(at) for at, plans in self.groups)


def flops_core(spec: Spec) -> int:
    """FLOPs of the forward: two products of width d over every executed pair."""
    executed = sum(plans[0].executed * len(at) for at, plans in head_groups(spec))
    return spec.shape.batch * 2 * (spec.shape.d + spec.shape.d_v) * executed


def head_groups(spec: Spec) -> list[tuple[list[int], list[TilePlan]]]:
    """Heads that can run together (plans of one signature), with their plans: one if they are all the same."""
    pattern = spec.edges()
    kinds = min(pattern.heads, spec.shape.heads)
    made: dict[object, TilePlan] = {}
    plans = []
    for kind in range(kinds):
        expr = pattern.expr(spec.layer, kind)
        same = expr.parts if isinstance(expr, Union) else expr
        plans.append(made.get(same) or made.setdefault(same, lower(expr, pattern.n)))
    if kinds == 1:
        return [(list(range(spec.shape.heads)), plans)]
    groups: dict[tuple[object, ...], list[int]] = {}
    for head in range(spec.shape.heads):
        groups.setdefault(plans[head % kinds].signature(), []).append(head)
    return [(at, _distinct([plans[head % kinds] for head in at])) for at in groups.values()]


def _distinct(plans: list[TilePlan]) -> list[TilePlan]:
    return plans[:1] if all(plan is plans[0] for plan in plans) else plans


class PlannedHeads(nn.Module):
    """The execution of one plan for all heads, or of one plan a head where only their tables differ."""

    pick: Tensor | None

    def __init__(self, plans: list[TilePlan]) -> None:
        super().__init__()
        self.n = plans[0].n
        columns = zip(*(plan.stacks for plan in plans), strict=True)
        self.stacks = nn.ModuleList(StackedParts(list(stacks)) for stacks in columns)
        pick = plans[0].pick
        self.register_buffer("pick", None if pick is None else table(pick), persistent=True)

    def forward(self, q: Tensor, k: Tensor, v: Tensor, sinks: Tensor | None = None) -> Tensor:
        q = q * q.shape[-1] ** -0.5
        rows = [stack(q, k, v, sinks) for stack in self.stacks]
        if self.pick is None:
            return rows[0][:, :, : self.n]
        return (rows[0] if len(rows) == 1 else torch.cat(rows, 2)).index_select(2, self.pick)


class StackedParts(nn.Module):
    """One softmax over the parts of a stack: `[b, h, rows, d]`."""

    def __init__(self, stacks: list[TileStack]) -> None:
        super().__init__()
        parts = zip(*(stack.parts for stack in stacks), strict=True)
        tiles = [TileScores(list(heads)) for heads in parts]
        for part in tiles:
            part.live = any(other.whole for other in tiles)
        self.parts = nn.ModuleList(tiles)

    def forward(self, q: Tensor, k: Tensor, v: Tensor, sinks: Tensor | None = None) -> Tensor:
        if len(self.parts) == 1:
            part = self.parts[0]
            assert isinstance(part, TileScores)
            if part.whole and sinks is None:
                return part.mixed(q, k, v).flatten(2, 3)
            mixed, total, peak = part(q, k, v)
            if sinks is not None:
                mixed, total = shared_with(sinks, mixed, total, peak)
            return normalised(mixed, total, q.dtype).flatten(2, 3)
        partials = [_natural(part, q, k, v) for part in self.parts]
        mixed, total = merged(partials)
        if sinks is not None:
            mixed, total = shared_with(sinks, mixed, total, torch.stack([peak for _, _, peak in partials]).amax(0))
        return normalised(mixed, total, q.dtype)


def shared_with(sinks: Tensor, mixed: Tensor, total: Tensor, peak: Tensor) -> tuple[Tensor, Tensor]:
    """Unnormalised outputs and sums `[b, h, ..., d or 1]` of a softmax that has the score `sinks [h]` besides."""
    sink = sinks.view(-1, *[1] * (peak.dim() - 2)).to(peak.dtype)
    top = torch.maximum(peak, sink.detach())
    scale = (peak - top).exp()
    return mixed * scale, total * scale + (sink - top).exp()


def _natural(part: nn.Module, q: Tensor, k: Tensor, v: Tensor) -> Partial:
    assert isinstance(part, TileScores)
    return part.natural(*part(q, k, v))


def merged(partials: list[Partial]) -> tuple[Tensor, Tensor]:
    """Unnormalised outputs and sums of several parts of one softmax, brought to their common maximum."""
    top = torch.stack([peak for _, _, peak in partials]).amax(0)
    scales = [(peak - top).exp() for _, _, peak in partials]
    mixed = sum(scale * part for (part, _, _), scale in zip(partials, scales, strict=True))
    total = sum(scale * part for (_, part, _), scale in zip(partials, scales, strict=True))
    assert isinstance(mixed, Tensor)
    assert isinstance(total, Tensor)
    return mixed, total


def normalised(mixed: Tensor, total: Tensor, dtype: torch.dtype) -> Tensor:
    """The softmax's output; a row that reads nothing gives 0."""
    return (mixed / total.clamp(min=torch.finfo(total.dtype).tiny)).to(dtype)


class TileScores(nn.Module):
    """One part: for every tile its unnormalised output, sum and maximum, `[b, h, tiles, q_block, d or 1]`."""

    table: Tensor | None
    hidden: Tensor | None
    forbidden: Tensor | None
    tiles: Tensor | None

    def __init__(self, parts: list[TilePart]) -> None:
        super().__init__()
        self.part = part = parts[0]
        self.register_buffer(
            "table", _stacked([p.table for p in parts], missing=part.k_view.blocks(part.n, part.k_block))
        )
        padding = _stacked([None if p.key_ok is None else ~p.key_ok for p in parts])
        self.register_buffer("hidden", None if padding is None else padding[..., None, :])
        self.register_buffer("forbidden", _forbidden(parts))
        self.queries = BlockView(part.q_view, part.n, part.q_block)
        self.keys = BlockView(part.k_view, part.n, part.k_block)
        self.register_buffer("tiles", None if part.tiles is None else table(part.tiles))
        self.whole = self.live = all(every_row_reads(p) for p in parts)
        self.columns = [slice(None)] if part.relative is None else runs(~np.asarray(part.relative.all(0)))
        padded = [p.key_ok for p in parts if p.key_ok is not None]
        self.ends = runs(~np.asarray(np.concatenate(padded).all((0, 2)))) if padded else []
        self.added: Callable[[Tensor, Tensor], None] | None = None

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Partial:
        scores = self.scores(q, k)
        peak = scores.detach().amax(-1, keepdim=True).clamp(min=torch.finfo(scores.dtype).min)
        weights = scores.sub_(peak).exp_()
        total = weights.sum(-1, keepdim=True, dtype=torch.promote_types(q.dtype, torch.float32))
        return self.sums(weights, v), total, peak

    def mixed(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """The softmax's output, `[b, h, tiles, q_block, d]`, of a part that is alone and in which every row reads."""
        return self.sums(self.scores(q, k).softmax(-1), v)

    def scores(self, q: Tensor, k: Tensor) -> Tensor:
        """Products of all pairs of all tiles, `[b, h, tiles, q_block, width]`, -inf where there is no edge.

        A scheme may set `added(q, scores)`, which adds in place what else its scores are made of.
        Such a score gets weight 0, which lets no gradient through, so that the graph need not know of the mask, except
        where a row reads nothing at all.
        """
        q = self.queries(q)
        q = q if self.tiles is None else q.index_select(2, self.tiles)
        k = self._gathered(self.keys(k))
        if k.shape[2] == 1 and q.shape[2] > 1:
            scores = (q.flatten(2, 3)[:, :, None] @ k.transpose(-2, -1)).squeeze(2).unflatten(2, q.shape[2:4])
        else:
            scores = q @ k.transpose(-2, -1)
        if self.added is not None:
            self.added(q, scores)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.live):
            self._mask(scores)
        return scores

    def _mask(self, scores: Tensor) -> None:
        """-inf where there is no edge: in the columns of a tile, and in the tiles, that have such places."""
        if self.forbidden is not None:
            for columns in self.columns:
                scores[..., columns].masked_fill_(self.forbidden[..., columns], float("-inf"))
        if self.hidden is not None:
            for tiles in self.ends:
                scores[:, :, tiles].masked_fill_(self.hidden[:, tiles], float("-inf"))

    def sums(self, weights: Tensor, v: Tensor) -> Tensor:
        """The values of every tile, weighted, `[b, h, tiles, q_block, d]`."""
        v = self._gathered(self.keys(v))
        if v.shape[2] == 1 and weights.shape[2] > 1:
            return (weights.flatten(2, 3)[:, :, None] @ v).squeeze(2).unflatten(2, weights.shape[2:4])
        return weights @ v

    def natural(self, mixed: Tensor, total: Tensor, peak: Tensor) -> Partial:
        """A part's results, rows in the order of the sequence, `[b, h, n, d or 1]`; nothing where it has no row."""
        return self._rows(mixed, 0.0), self._rows(total, 0.0), self._rows(peak, torch.finfo(peak.dtype).min)

    def _rows(self, x: Tensor, absent: float) -> Tensor:
        if self.tiles is not None:
            whole = x.new_full((*x.shape[:2], self.queries.blocks, *x.shape[3:]), absent)
            x = whole.index_copy(2, self.tiles, x)
        return self.queries.restored(x)

    def _gathered(self, blocks: Tensor) -> Tensor:
        """The keys of every tile, `[b, h, tiles, width, d]`, from key blocks `[b, h, blocks, k_block, d]`."""
        if self.part.shifts is not None:
            return shifted(blocks, self.part.shifts)
        if self.table is None:
            return blocks.flatten(2, 3)[:, :, None]
        blocks = F.pad(blocks, (0, 0, 0, 0, 0, 1)) if self.part.key_ok is not None or self.part.full else blocks
        heads, tiles, per = self.table.shape
        if heads == 1:
            return blocks.index_select(2, self.table.flatten()).unflatten(2, (tiles, per)).flatten(3, 4)
        count = blocks.shape[2]
        offset = torch.arange(heads, device=blocks.device)[:, None, None] * count
        flat = blocks.flatten(1, 2).index_select(1, (self.table + offset).flatten())
        return flat.unflatten(1, (heads, tiles, per)).flatten(3, 4)


def runs(wanted: Bools) -> list[slice]:
    """The places that are wanted, from the first on and up to the last; as one run where nothing is spared between.

    What a band leaves out stands at both ends of a tile, and what is beyond the sequence in its first and last tiles.
    """
    places = np.flatnonzero(wanted)
    if not len(places):
        return []
    gaps = np.diff(places)
    widest = int(gaps.argmax()) if len(gaps) else 0
    first, last = int(places[0]), int(places[-1]) + 1
    if not len(gaps) or gaps[widest] == 1:
        return [slice(first, last)]
    return [slice(first, int(places[widest]) + 1), slice(int(places[widest + 1]), last)]


def every_row_reads(part: TilePart) -> bool:
    """Whether each row of each tile, padding included, is sure to have a key."""
    if part.full is not None:
        return part.reads
    if part.key_ok is None:
        return part.relative is None or bool(part.relative.any(1).all())
    keys = part.key_ok[~part.key_ok.all(-1)]
    if part.relative is None:
        return bool(keys.any(-1).all())
    return bool(part.relative.any(1).all()) and _reads(part.relative, keys)


def _reads(relative: Bools, keys: Bools) -> bool:
    """Whether each row of a mask `[rows, width]` has one of the keys of each tile, `[tiles, width]`."""
    found = np.zeros((len(relative), len(keys)), dtype=np.float32)
    for at in range(0, relative.shape[1], COLUMNS):
        some = slice(at, at + COLUMNS)
        found += relative[:, some].astype(np.float32) @ keys[:, some].T.astype(np.float32)
    return bool(found.all())


def _stacked(arrays: list[np.ndarray | None], missing: int | None = None) -> Tensor | None:
    """The arrays of all heads as one tensor `[heads or 1, ...]`; -1 in an index table becomes `missing`."""
    if arrays[0] is None:
        return None
    given = [a for a in arrays if a is not None]

    def joined() -> np.ndarray:
        found = np.concatenate(given)
        return found if missing is None else np.where(found < 0, missing, found).astype(np.int64)

    return table(joined, (sum(map(len, given)), *given[0].shape[1:]), np.bool_ if missing is None else np.int64)


def _forbidden(parts: list[TilePart]) -> Tensor | None:
    """Pairs of a tile that are no edges: `[q_block, width]` where all tiles agree, else `[heads or 1, tiles, ...]`."""
    part = parts[0]
    if part.relative is not None:
        return table(~part.relative)
    if part.full is None:
        return None
    made = [p.full for p in parts if p.full is not None]
    shape = (len(parts), part.count, part.q_block, part.width)
    return table(lambda: ~np.concatenate([full() for full in made]), shape)
