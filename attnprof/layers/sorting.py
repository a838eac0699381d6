"""Soft sorting of blocks of keys: a network that scores pairs of blocks, and Sinkhorn's balancing (Tay et al. 2020)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attnprof.layers.attention import QKV
from attnprof.scheme import Spec

NOWHERE = -1e9


class SortingNetwork(nn.Module):
    """Scores `[b, blocks, blocks]` of which block should come where: two layers on the sum of each block of x.

    Under causality place I is scored from the sum of all tokens before block I.
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.size, self.causal = spec.number("block"), spec.shape.causal
        self.hidden = nn.Linear(spec.shape.dim, spec.shape.dim, bias=False)
        self.places = nn.Linear(spec.shape.dim, blocks_of(spec), bias=False)

    def forward(self, x: Tensor) -> Tensor:
        sums = F.pad(x, (0, 0, 0, -x.shape[1] % self.size)).unflatten(1, (-1, self.size)).sum(2)
        if self.causal:
            sums = F.pad(sums.cumsum(1)[:, :-1], (0, 0, 1, 0))
        return self.places(F.relu(self.hidden(sums)))


class SortedProjections(nn.Module):
    """Queries, keys, values, and the scores of the sorting network, which all heads share."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.to_qkv = QKV(spec.shape)
        self.sort = SortingNetwork(spec)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return (*self.to_qkv(x), self.sort(x))


def balanced(scores: Tensor, temperature: float, iterations: int, causal: bool = False) -> Tensor:
    """Nearly doubly stochastic weights of `scores [b, places, blocks]`: rows and columns normalised in turn, in logs.

    Causal: place I takes blocks before I only, and its share of a column is normalised over the places up to I.
    """
    logs = scores / temperature
    if not causal:
        for _ in range(iterations):
            logs = logs - logs.logsumexp(-1, keepdim=True)
            logs = logs - logs.logsumexp(-2, keepdim=True)
        return logs.exp()
    later = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu()
    logs = logs.masked_fill(later, NOWHERE)
    for _ in range(iterations):
        logs = (logs - logs.logsumexp(-1, keepdim=True)).masked_fill(later, NOWHERE)
        logs = (logs - logs.logcumsumexp(-2)).masked_fill(later, NOWHERE)
    return logs.exp()


def as_blocks(x: Tensor, size: int) -> Tensor:
    """`[b, h, n, d]` as `[b, h, blocks, size, d]`; a ragged end is filled with zeros."""
    padding = -x.shape[2] % size
    return (F.pad(x, (0, 0, 0, padding)) if padding else x).unflatten(2, (-1, size))


def mixed_blocks(weights: Tensor, x: Tensor) -> Tensor:
    """Blocks `x [b, h, blocks, size, d]` in their places: sums of whole blocks by `weights [b, p, blocks]`."""
    return (weights[:, None] @ x.flatten(3)).unflatten(3, x.shape[3:])


def blocks_of(spec: Spec) -> int:
    """Blocks of the sequence, the last of which may be short."""
    return -(-spec.shape.n // spec.number("block"))
