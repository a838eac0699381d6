"""Sorting of blocks of keys: a network that scores pairs of blocks, and Sinkhorn's balancing (Tay et al. 2020)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attnprof.layers.attention import QKV
from attnprof.layers.decisions import decided
from attnprof.layers.rows import rows
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
        wide = torch.promote_types(x.dtype, torch.float32)
        sums = F.pad(x, (0, 0, 0, -x.shape[1] % self.size)).unflatten(1, (-1, self.size)).sum(2, dtype=wide)
        if self.causal:
            sums = F.pad(sums.cumsum(1)[:, :-1], (0, 0, 1, 0))
        return self.places(F.relu(self.hidden(sums.to(x.dtype))))


class SortedProjections(nn.Module):
    """Queries, keys, values, and the scores of the sorting network, which all heads share."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.to_qkv = QKV(spec.shape)
        self.sort = SortingNetwork(spec)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return (*self.to_qkv(x), self.sort(x))


class Sorter(nn.Module):
    """Blocks of keys and values in the places that the scores give them: the first `kept` places, or all.

    Soft: sums of all blocks. Hard: the block of the largest weight, by index; the gradient goes straight through to
    that weight (Bengio et al. 2013), so that the network still learns. In training mode Gumbel noise of the scale
    `gumbel` is added to the scores before the temperature.
    """

    def __init__(self, spec: Spec, kept: int | None = None) -> None:
        super().__init__()
        self.causal, self.hard, self.kept = spec.shape.causal, bool(spec.params["hard"]), kept
        self.temperature, self.iterations = float(spec.params["temperature"] or 1), spec.number("iterations")
        self.gumbel = float(spec.params["gumbel"] or 0)

    def forward(self, scores: Tensor, *streams: Tensor) -> tuple[Tensor, ...]:
        """`scores [b, blocks, blocks]`, streams `[b, h, blocks, size, d]`: the streams `[b, h, places, size, d]`."""
        weights = self.weights(scores)
        if not self.hard:
            return tuple(mixed_blocks(weights, x) for x in streams)
        chosen = decided(lambda: weights.argmax(-1))
        one = straight_through(weights, chosen)[:, None, ..., None]
        return tuple(chosen_blocks(chosen, x) * one for x in streams)

    def weights(self, scores: Tensor) -> Tensor:
        """Of each block in each place, `[b, places, blocks]`."""
        if self.training and self.gumbel:
            scores = scores + decided(lambda: self.gumbel * gumbel_like(scores))
        return balanced(scores, self.temperature, self.iterations, self.causal)[:, : self.kept]

    def matrix(self, scores: Tensor) -> Tensor:
        """The weights that the places are mixed by, for oracles: 0 and 1 where the sorting is hard."""
        weights = self.weights(scores)
        if not self.hard:
            return weights
        chosen = weights.argmax(-1)
        return F.one_hot(chosen, weights.shape[-1]) * straight_through(weights, chosen)


def gumbel_like(scores: Tensor) -> Tensor:
    """Independent standard Gumbel noise, -log of exponential draws."""
    return -torch.empty_like(scores).exponential_().log()


def straight_through(weights: Tensor, chosen: Tensor) -> Tensor:
    """1 for each place, `[b, places, 1]`, with the gradient of its chosen weight."""
    share = weights.gather(-1, chosen[..., None])
    return 1 + (share - share.detach())


def chosen_blocks(chosen: Tensor, x: Tensor) -> Tensor:
    """Of the blocks `x [b, h, blocks, size, d]` those of `chosen [b, places]`."""
    index = chosen[:, None].expand(-1, x.shape[1], -1)
    return rows(x.flatten(3), index).unflatten(3, x.shape[3:])


def balanced(scores: Tensor, temperature: float, iterations: int, causal: bool = False) -> Tensor:
    """Nearly doubly stochastic weights of `scores [b, places, blocks]`: rows and columns normalised in turn, in logs.

    Causal: place I takes blocks before I only, and its share of a column is normalised over the places up to I. The
    logs are float32 at least: their rounding would add up.
    """
    logs = scores.to(torch.promote_types(scores.dtype, torch.float32)) / temperature
    if not causal:
        for _ in range(iterations):
            logs = logs - logs.logsumexp(-1, keepdim=True)
            logs = logs - logs.logsumexp(-2, keepdim=True)
        return logs.exp().to(scores.dtype)
    later = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu()
    logs = logs.masked_fill(later, NOWHERE)
    for _ in range(iterations):
        logs = (logs - logs.logsumexp(-1, keepdim=True)).masked_fill(later, NOWHERE)
        logs = (logs - logs.logcumsumexp(-2)).masked_fill(later, NOWHERE)
    return logs.exp().to(scores.dtype)


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
