"""ETC: global and long input with projections of their own, mixed in four pieces (Ainslie et al. 2020, section 3.2).

Relative position labels are vectors that a key has for a query: score(i, j) = q_i (k_j + a_(i, j)) / sqrt(d) (Shaw et
al. 2018, equation 4). Of two long tokens the label is the lag j - i, clipped; of each other kind of pair there is one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attnprof.contracts import Spec, Written
from attnprof.layers.attention import QKV
from attnprof.layers.gathered import GatherCore, TileScores
from attnprof.layers.gathered import flops_core as gathered_flops
from attnprof.layers.lowering.tiling import TilePart
from attnprof.layers.masked_softmax import pattern_mask
from attnprof.layers.relative_labels import by_lag

OTHERS = 3  # global to global, global to long, long to global
SCALE = 0.02


class Core(nn.Module):
    """Streams `q [b, h, n, d]`, `k, v [b, g, n, d]` of both inputs, the global one first: its labels and its oracle."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        shape, clip = spec.shape, spec.number("clip")
        self.tokens, self.radius = spec.number("global_tokens"), spec.number("window") // 2
        self.heads = shape.heads // shape.groups
        self.lags = nn.Parameter(torch.randn(shape.groups, 2 * clip + 1, shape.d) * SCALE)
        self.others = nn.Parameter(torch.randn(shape.groups, OTHERS, shape.d) * SCALE)

    def reference(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Global queries over everything; long queries over the global keys and a window of the long ones.

        Each key with the label of its lag, or of its kind of pair.
        """
        i, clip, repeat = torch.arange(q.shape[2], device=q.device), self.lags.shape[1] // 2, q.shape[1] // k.shape[1]
        lag, top = i - i[:, None], i < self.tokens
        kind = (lag.clamp(-clip, clip) + clip).masked_fill(top, 2 * clip + 3).masked_fill(top[:, None], 2 * clip + 2)
        kind = kind.masked_fill(top[:, None] & top, 2 * clip + 1)
        label = torch.cat([self.lags, self.others], 1)
        k, v, label = (x.repeat_interleave(repeat, -3) for x in (k, v, label))
        products = torch.einsum("bhid,hld->bhil", q, label)
        scores = torch.einsum("bhid,bhjd->bhij", q, k) + products.gather(3, kind.expand(*q.shape[:2], -1, -1))
        unseen = (lag.abs() > self.radius) & ~top & ~top[:, None]
        return (scores / q.shape[-1] ** 0.5).masked_fill(unseen, float("-inf")).softmax(-1) @ v

    def _by_head(self, labels: Tensor) -> Tensor:
        """Labels of KV heads `[g, l, d]` for each query head, `[h, l, d]`."""
        return labels.repeat_interleave(self.heads, 0) if self.heads > 1 else labels


class TiledETC(Core):
    """Along the tiles of the plan, the labels added to the scores of every part."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.mix = GatherCore(spec)
        for part in self.modules():
            if isinstance(part, TileScores):
                part.added = self.labels_of(part.part)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return self.mix(q, k, v)

    def labels_of(self, part: TilePart) -> Callable[[Tensor, Tensor], None]:
        """What adds the products with their labels to the scores `[b, h, tiles, rows, width]` of a part's tiles."""
        if part.shifts is not None:
            return partial(self._add_lags, part)
        return self._add_to_columns if part.q_view.tokens is None else self._add_to_rows

    def _add_lags(self, part: TilePart, q: Tensor, scores: Tensor) -> None:
        assert part.shifts is not None
        scores.add_(by_lag(self._products(q, self.lags), part.width, part.shifts[0] * part.k_block))

    def _add_to_columns(self, q: Tensor, scores: Tensor) -> None:
        scores.add_(self._products(q, self.others[:, 2:]))

    def _add_to_rows(self, q: Tensor, scores: Tensor) -> None:
        # What a softmax adds to all of its keys has no effect, so only the difference of the two labels is added.
        label = self.others[:, :1] - self.others[:, 1:2]
        scores[..., : self.tokens].add_(self._products(q, label))

    def _products(self, q: Tensor, labels: Tensor) -> Tensor:
        return q @ self._by_head(labels)[:, None].transpose(-2, -1)


class MaskedETC(Core):
    """All pairs in torch's fused attention, under a bias of labels and mask."""

    mask: Tensor

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.register_buffer("mask", pattern_mask(spec)[0], persistent=False)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        bias = self.dense_labels(q * q.shape[-1] ** -0.5).masked_fill(~self.mask, float("-inf"))
        return F.scaled_dot_product_attention(q, k, v, attn_mask=bias, enable_gqa=self.heads > 1)

    def dense_labels(self, q: Tensor) -> Tensor:
        """The products of every query with the label of every key, `[b, h, n, n]`, pair by pair."""
        clip = self.lags.shape[1] // 2
        place = torch.arange(q.shape[2], device=q.device)
        hub, kind = place < self.tokens, (place - place[:, None]).clamp(-clip, clip) + clip
        kind = torch.where(
            hub[:, None], torch.where(hub, 2 * clip + 1, 2 * clip + 2), torch.where(hub, 2 * clip + 3, kind)
        )
        products = q @ self._by_head(torch.cat([self.lags, self.others], 1)).transpose(-2, -1)
        return products.gather(-1, kind.expand(*q.shape[:2], -1, -1))


class Projections(nn.Module):
    """Queries, keys and values: of the global tokens by one set of matrices, of the long ones by another."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.tokens = spec.number("global_tokens")
        self.long = QKV(spec.shape)
        self.top = QKV(spec.shape) if self.tokens else None

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        if self.top is None:
            return self.long(x)
        pieces = zip(self.top(x[:, : self.tokens]), self.long(x[:, self.tokens :]), strict=True)
        return tuple(torch.cat(pair, 2) for pair in pieces)


def tiled(spec: Spec) -> int:
    """The tiles of the window, of global columns and of global rows, and 2 d FLOPs for each of their rows and labels.

    A row of the window has 2 k + 1 labels, any other row one.
    """
    parts = [part for stack in GatherCore(spec).groups[0][1][0].stacks for part in stack.parts]
    labels = 2 * spec.number("clip") + 1
    rows = sum(part.count * part.q_block * (1 if part.shifts is None else labels) for part in parts)
    return gathered_flops(spec) + per_label(spec) * rows


def whole(spec: Spec) -> int:
    """4 n^2 d a head under the mask, and every query with every label."""
    n = spec.shape.n
    return per_label(spec) * n * (2 * n + 2 * spec.number("clip") + 1 + OTHERS)


def per_label(spec: Spec) -> int:
    """FLOPs of one product as wide as a head, in all heads."""
    return 2 * spec.shape.batch * spec.shape.heads * spec.shape.d


WRITTEN = {"gather": Written(TiledETC, tiled), "masked": Written(MaskedETC, whole)}
