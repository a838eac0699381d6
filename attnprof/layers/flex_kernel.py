"""Every pattern through FlexAttention: fused, with a BlockMask that is made from slices, never from n * n pairs.

The BlockMask says which tiles are full and which are partial; within a partial one the pattern's arithmetic rule is
asked, or, where it has none, a table of the tiles' masks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention.flex_attention import AuxRequest, BlockMask, flex_attention

from attnprof.contracts import Spec
from attnprof.errors import Unsupported
from attnprof.layers.band_decoding import BandDecoding
from attnprof.layers.block_masks import note_live
from attnprof.layers.edge_softmax import softmax_over_edges
from attnprof.layers.index_tables import counting, table
from attnprof.pattern import Expr, Slices
from attnprof.pattern.expr import AsArray
from attnprof.torch_private import allow_kernels
from attnprof.words import DeviceName

BLOCK = 128
KERNELS = 256  # that one process may compile: torch's own limit for all functions together


class FlexCore(BandDecoding, nn.Module):
    """`q [b, h, n, d]`, `k, v [b, g, n, d]` by torch's FlexAttention; on a CPU it runs forward only."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        pattern = spec.edges()
        self.spec = spec
        kinds = min(pattern.heads, spec.shape.heads)
        heads = range(spec.shape.heads if kinds > 1 else 1)
        self.mask = block_mask([pattern.expr(spec.layer, head % kinds) for head in heads], pattern.n)
        self.fused = flex_attention if counting() else compiled()

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        if torch.is_grad_enabled() and q.requires_grad and q.device.type == DeviceName.CPU and not counting():
            raise Unsupported("FlexAttention on a CPU has no backward", hint="--impl gather, or --pass forward")
        mixed = self.fused(q, k, v, block_mask=self.mask, enable_gqa=q.shape[1] != k.shape[1])
        assert isinstance(mixed, Tensor)
        return mixed

    def with_sinks(self, q: Tensor, k: Tensor, v: Tensor, sinks: Tensor) -> Tensor:
        """The same where each row's softmax has one more score, `sinks [h]`, of a key without a value."""
        if torch.is_grad_enabled() and q.requires_grad and q.device.type == DeviceName.CPU and not counting():
            raise Unsupported("FlexAttention on a CPU has no backward", hint="--impl gather, or --pass forward")
        grouped, aux = q.shape[1] != k.shape[1], AuxRequest(lse=True)
        mixed, found = self.fused(q, k, v, block_mask=self.mask, enable_gqa=grouped, return_aux=aux)
        assert found.lse is not None
        return mixed * (found.lse - sinks[:, None]).sigmoid()[..., None].to(mixed.dtype)

    def scored(self, q: Tensor, k: Tensor, v: Tensor, rule: Callable[..., Tensor]) -> Tensor:
        """The same where each score is what `rule(score, b, h, i, j)` makes of it."""
        if torch.is_grad_enabled() and q.requires_grad and q.device.type == DeviceName.CPU and not counting():
            raise Unsupported("FlexAttention on a CPU has no backward", hint="--impl eager, or --pass forward")
        grouped = q.shape[1] != k.shape[1]
        mixed = self.fused(q, k, v, score_mod=rule, block_mask=self.mask, enable_gqa=grouped)
        assert isinstance(mixed, Tensor)
        return mixed

    def reference(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Softmax over the edges of the pattern."""
        return softmax_over_edges(self.spec, q, k, v)


def compiled() -> Callable[..., Any]:
    """FlexAttention as a fused kernel for each shape and mask that it is called with.

    A process compiles one for every length that it visits. Beyond torch's limit (8) it would go on unfused, with n * n
    scores in memory and without an error: so the limit is raised, and whatever is not compiled whole raises.
    """
    allow_kernels(KERNELS)
    return torch.compile(flex_attention, dynamic=False, fullgraph=True)


def block_mask(heads: Sequence[Expr], n: int, block: int = BLOCK) -> BlockMask:
    """The BlockMask of a pattern at length n, of every head (or of one that stands for all).

    Its full and its partial tiles are counted from slices, in O(slices).
    """
    share = np.stack([edges_by_tile(expr, n, block) for expr in heads])
    rows = np.minimum(block, n - np.arange(share.shape[1]) * block)
    full = share == rows[:, None] * rows
    partial_count, partial_index = _ordered((share > 0) & ~full)
    full_count, full_index = _ordered(full)
    return BlockMask.from_kv_blocks(
        partial_count,
        partial_index,
        full_count,
        full_index,
        BLOCK_SIZE=block,
        mask_mod=mask_mod(heads),
        seq_lengths=(n, n),
    )


def edges_by_tile(expr: Expr, n: int, block: int) -> np.ndarray:
    """Edges of a pattern in each tile of `block` x `block`, `[tiles, tiles]`, without a list of them."""
    tiles, lags = -(-n // block), expr.by_lag(n)
    counted = np.zeros((tiles, tiles), dtype=np.int64)
    if lags is None:
        return sum((tile_edges(piece, block) for piece in expr.pieces(n)), counted)
    below = np.concatenate([[0], np.cumsum(lags)])  # lags that are read, less than each one
    keys = np.minimum(np.arange(tiles + 1) * block, n)
    for tile in range(tiles):
        rows = np.arange(tile * block, min((tile + 1) * block, n))[:, None]
        counted[tile] = -np.diff(below[rows - keys + n].sum(0))
    return counted


def tile_edges(slices: Slices, block: int) -> np.ndarray:
    """Edges in each tile of `block` x `block`, `[tiles, tiles]`."""
    tiles = -(-slices.n // block)
    total = np.zeros(tiles * (tiles + 1), dtype=np.int64)
    whole = slices.take(slices.step == 1)
    for at, sign in ((whole.start, 1), (whole.stop, -1)):
        cell = whole.row // block * (tiles + 1) + at // block
        np.add.at(total, cell, sign * (block - at % block))
        inner = cell + 1
        keep = at // block < tiles
        np.add.at(total, inner[keep], sign * (at % block)[keep])
    counted = np.cumsum(total.reshape(tiles, tiles + 1), axis=1)[:, :tiles]
    near = slices.take((slices.step > 1) & (slices.step < block))
    if len(near.row):
        for column in range(tiles):
            inside = _below(near, (column + 1) * block) - _below(near, column * block)
            counted[:, column] += np.bincount(near.row // block, inside, tiles).astype(np.int64)
    far = slices.take(slices.step >= block)
    keys, rows = far.csr()[1], np.repeat(far.row, far.counts)
    np.add.at(counted, (rows // block, keys // block), 1)
    return counted


def _below(slices: Slices, key: int) -> np.ndarray:
    """Keys of each slice that are less than `key`."""
    return np.clip(-((slices.start - key) // slices.step), 0, slices.counts)


def _ordered(tiles: np.ndarray) -> tuple[Tensor, Tensor]:
    """Counts `[1, heads, tiles]`, and indices `[1, heads, tiles, tiles]` with the live ones first."""
    order = np.argsort(~tiles, axis=2, kind="stable")
    device = torch.empty(0).device
    count = torch.as_tensor(tiles.sum(2), dtype=torch.int32, device=device)[None]
    note_live(count, int(tiles.sum()))
    return count, torch.as_tensor(order, dtype=torch.int32, device=device)[None]


TensorRule = Callable[[Tensor, Tensor], Tensor]


def mask_mod(heads: Sequence[Expr]) -> Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]:
    """The rule of every head as FlexAttention calls it. Raises `Unsupported` where a pattern has no rule."""
    zero = np.zeros(1, dtype=np.int64)
    if any(expr.rule(zero, zero) is None for expr in heads):
        raise Unsupported("a pattern without an arithmetic rule cannot be a mask_mod", hint="--impl gather")
    first, *others = [cast(TensorRule, expr.bound(cast(AsArray, table))) for expr in heads]  # arithmetic: of both

    def rule(b: Tensor, h: Tensor, q_idx: Tensor, kv_idx: Tensor) -> Tensor:
        found = first(q_idx, kv_idx)
        for head, other in enumerate(others, start=1):
            found = torch.where(h == head, other(q_idx, kv_idx), found)
        return found

    rule.__name__ = type(heads[0]).__name__.lower()
    return rule
