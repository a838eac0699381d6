"""Any pattern through FlexAttention: fused, with a BlockMask that is made from slices, never by evaluating n * n pairs.

The BlockMask says which tiles are full and which are partial; within a partial one the pattern's arithmetic rule is
asked, or, where it has none, a table of the tiles' masks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention.flex_attention import BlockMask, flex_attention

from attnprof.errors import Unsupported
from attnprof.layers.softmax import softmax_attention
from attnprof.layers.tables import counting, table
from attnprof.pattern import Expr, Slices
from attnprof.runners.decode import BandDecoding
from attnprof.runners.masked import pattern_mask
from attnprof.scheme import Spec

BLOCK = 128


class FlexCore(BandDecoding, nn.Module):
    """`q [b, h, n, d]`, `k, v [b, g, n, d]` by torch's FlexAttention; on a CPU it runs forward only."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        assert spec.pattern is not None, "FlexAttention needs a pattern"
        if spec.pattern.heads > 1:
            raise Unsupported(
                f"{spec.pattern.name} differs from head to head, which one BlockMask rule cannot say",
                hint="--runner gather",
            )
        self.spec = spec
        self.mask = block_mask(spec.pattern.expr(spec.layer), spec.pattern.n)
        self.fused = flex_attention if counting() else torch.compile(flex_attention, dynamic=False)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        if torch.is_grad_enabled() and q.requires_grad and q.device.type == "cpu":
            raise Unsupported("FlexAttention on a CPU has no backward", hint="--runner gather, or --pass forward")
        mixed = self.fused(q, k, v, block_mask=self.mask, enable_gqa=q.shape[1] != k.shape[1])
        assert isinstance(mixed, Tensor)
        return mixed

    def reference(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Softmax over the densely masked scores."""
        return softmax_attention(q, k, v, pattern_mask(self.spec)[0])


def block_mask(expr: Expr, n: int, block: int = BLOCK) -> BlockMask:
    """The BlockMask of a pattern at length n: its full and its partial tiles, counted from slices in O(slices)."""
    share = tile_edges(expr.slices(n), block)
    rows = np.minimum(block, n - np.arange(len(share)) * block)
    full = share == rows[:, None] * rows
    partial_count, partial_index = _ordered((share > 0) & ~full)
    full_count, full_index = _ordered(full)
    return BlockMask.from_kv_blocks(
        partial_count,
        partial_index,
        full_count,
        full_index,
        BLOCK_SIZE=block,
        mask_mod=mask_mod(expr, n),
        seq_lengths=(n, n),
    )


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
    rest = slices.take(slices.step > 1)
    keys, rows = rest.csr()[1], np.repeat(rest.row, rest.counts)
    np.add.at(counted, (rows // block, keys // block), 1)
    return counted


def _ordered(tiles: np.ndarray) -> tuple[Tensor, Tensor]:
    """Counts `[1, 1, tiles]` and, live ones first, indices `[1, 1, tiles, tiles]` as FlexAttention wants them."""
    order = np.argsort(~tiles, axis=1, kind="stable")
    device = torch.empty(0).device
    count: Any = torch.as_tensor(tiles.sum(1), dtype=torch.int32, device=device)[None, None]
    count.live_blocks = int(tiles.sum())  # a fake tensor has no values, but its cost depends on them
    return count, torch.as_tensor(order, dtype=torch.int32, device=device)[None, None]


def mask_mod(expr: Expr, n: int) -> Callable[[Any, Any, Any, Any], Any]:
    """The pattern's rule as FlexAttention calls it. Raises `Unsupported` where a pattern has no rule."""
    if expr.rule(np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.int64)) is None:
        raise Unsupported("a pattern without an arithmetic rule cannot be a mask_mod", hint="--runner gather")

    def rule(b: Tensor, h: Tensor, q_idx: Tensor, kv_idx: Tensor) -> Any:
        return expr.rule(q_idx, kv_idx, table)

    rule.__name__ = type(expr).__name__.lower()
    return rule
