"""Sinkhorn attention: the own block and a sorted one under one softmax (Tay et al. 2020, section 3)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from attnprof.layers.attention import dtype_of, random_streams
from attnprof.layers.softmax import hide
from attnprof.layers.sorting import SortedProjections, Sorter, as_blocks, blocks_of
from attnprof.layers.tables import table
from attnprof.scheme import Spec

Projections = SortedProjections


class Core(nn.Module):
    """Streams `q, k, v [b, h, n, d]` and the scores of the sorting, `[b, blocks, blocks]`."""

    hidden: Tensor
    absent: Tensor | None

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.causal, self.n, self.size = spec.shape.causal, spec.shape.n, spec.number("block")
        self.sort = Sorter(spec)
        own = np.triu(np.ones((self.size, self.size), dtype=np.bool_), 1) & self.causal
        self.register_buffer("hidden", table(np.concatenate([np.zeros_like(own), own], axis=1)))
        self.register_buffer("absent", absent_keys(spec))

    def forward(self, q: Tensor, k: Tensor, v: Tensor, scores: Tensor) -> Tensor:
        q, k, v = (as_blocks(x, self.size) for x in (q * q.shape[-1] ** -0.5, k, v))
        k, v = (torch.cat(pair, 3) for pair in zip(self.sort(scores, k, v), (k, v), strict=True))
        logits = q @ k.transpose(-2, -1)
        if self.causal:
            hide(logits, self.hidden)
        if self.absent is not None:
            hide(logits, self.absent)
        return (logits.softmax(-1) @ v).flatten(2, 3)[:, :, : self.n]

    def reference(self, q: Tensor, k: Tensor, v: Tensor, scores: Tensor) -> Tensor:
        """All sorted keys and all own keys side by side, those of other blocks masked."""
        weights = self.sort.matrix(scores)
        q, k, v = (as_blocks(x, self.size).flatten(2, 3) for x in (q, k, v))
        moved = torch.kron(weights, torch.eye(self.size, dtype=q.dtype, device=q.device))[:, None]
        place = torch.arange(q.shape[2], device=q.device)
        block = place // self.size
        same = block == block[:, None]
        own = same & (place < self.n) & ((place <= place[:, None]) | (not self.causal))
        beside = same & (block[:, None] > 0) if self.causal else same
        logits = torch.cat([q @ (moved @ k).transpose(-2, -1), q @ k.transpose(-2, -1)], -1) * q.shape[-1] ** -0.5
        visible = torch.cat([beside, own], -1) | (place >= self.n)[:, None]
        mixed = logits.masked_fill(~visible, float("-inf")).softmax(-1) @ torch.cat([moved @ v, v], 2)
        return mixed[:, :, : self.n]


def absent_keys(spec: Spec) -> Tensor | None:
    """Keys `[blocks, 1, 2 B]` that are not there: sorted ones of the first causal block, padding of the last."""
    size, blocks = spec.number("block"), blocks_of(spec)
    absent = np.zeros((blocks, 1, 2 * size), dtype=np.bool_)
    absent[0, 0, :size] = spec.shape.causal
    absent[-1, 0, 2 * size - (blocks * size - spec.shape.n) :] = True
    return table(absent) if absent.any() else None


def streams(spec: Spec) -> tuple[Tensor, ...]:
    """Random inputs of the core."""
    blocks = blocks_of(spec)
    return (*random_streams(spec.shape), torch.randn(spec.shape.batch, blocks, blocks, dtype=dtype_of(spec.shape)))


def flops_core(spec: Spec) -> int:
    """A head: 4 b^2 B d to sort keys and values of b blocks softly (0 hard), 4 b B 2 B d to mix."""
    shape, size, blocks = spec.shape, spec.number("block"), blocks_of(spec)
    sorting = 0 if spec.params["hard"] else 4 * blocks**2 * size
    return shape.batch * shape.heads * shape.head_dim * (sorting + 8 * blocks * size**2)
