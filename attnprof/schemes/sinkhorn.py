"""Sinkhorn attention: the own block and a sorted one under one softmax (Tay et al. 2020, section 3)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from attnprof.contracts import Spec
from attnprof.layers.attention import dtype_of, random_streams
from attnprof.layers.index_tables import table
from attnprof.layers.sinkhorn_definition import in_places, permutation
from attnprof.layers.softmax import hide, softmax_attention
from attnprof.layers.sorting import SortedProjections, Sorter, as_blocks, blocks_of, network_flops

Projections = SortedProjections


class Core(nn.Module):
    """Streams `q, k, v [b, h, n, d]` and the scores of the sorting, `[b, blocks, blocks]`."""

    hidden: Tensor
    absent: Tensor | None

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.causal, self.n, self.size = spec.shape.causal, spec.shape.n, spec.number("block")
        self.params = spec.params
        self.sort = Sorter(spec)
        own = np.triu(np.ones((self.size, self.size), dtype=np.bool_), 1) & self.causal
        self.register_buffer("hidden", table(np.concatenate([np.zeros_like(own), own], axis=1)))
        self.register_buffer("absent", absent_keys(spec))

    def forward(self, q: Tensor, k: Tensor, v: Tensor, scores: Tensor) -> Tensor:
        beside = self.sort(scores, k, v)
        q, k, v = (as_blocks(x, self.size) for x in (q * q.shape[-1] ** -0.5, k, v))
        k, v = (torch.cat(pair, 3) for pair in zip(beside.streams, (k, v), strict=True))
        logits = q @ k.transpose(-2, -1)
        if self.causal:
            hide(logits, self.hidden)
        if self.absent is not None:
            hide(logits, self.absent)
        if beside.absent is not None:
            hide(logits[..., : self.size], beside.absent[:, None, :, None])
        return (logits.softmax(-1) @ v).flatten(2, 3)[:, :, : self.n]

    def reference(self, q: Tensor, k: Tensor, v: Tensor, scores: Tensor) -> Tensor:
        """Block by block: one softmax over the tokens of the own block and the places of the sorted one."""
        weights = permutation(scores, self.params, self.causal)
        keys, there = in_places(weights, k, self.size, bool(self.params["hard"]))
        values, _ = in_places(weights, v, self.size, bool(self.params["hard"]))
        done = []
        for at, first in enumerate(range(0, self.n, self.size)):
            own = slice(first, min(first + self.size, self.n))
            place = torch.arange(own.start, own.stop, device=q.device)
            seen = (place <= place[:, None]) | (not self.causal)
            beside = there[:, at, None] & ((not self.causal) or at > 0)
            visible = torch.cat([beside.expand(-1, len(place), -1), seen.expand(len(beside), -1, -1)], -1)
            both = torch.cat([keys[:, :, at], k[:, :, own]], 2), torch.cat([values[:, :, at], v[:, :, own]], 2)
            done.append(softmax_attention(q[:, :, own], *both, visible[:, None]))
        return torch.cat(done, 2)


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
    """A head: 4 b B 2 B d to mix."""
    shape = spec.shape
    return 8 * shape.batch * shape.heads * shape.d * blocks_of(spec) * spec.number("block") ** 2


def flops_selection(spec: Spec) -> int:
    """The sorting network, and a head 4 b n d to sort keys and values of b blocks softly (0 hard).

    Under causality b blocks are whole ones to the sorting: the last, which no place takes, is padded.
    """
    shape, size, blocks = spec.shape, spec.number("block"), blocks_of(spec)
    tokens = blocks * size if shape.causal else shape.n
    sorting = 0 if spec.params["hard"] else 4 * blocks * tokens
    return network_flops(spec) + shape.batch * shape.heads * shape.d * sorting
