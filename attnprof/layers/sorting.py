"""Sorting of blocks of keys: a network that scores pairs of blocks, and Sinkhorn's balancing (Tay et al. 2020)."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attnprof.contracts import Spec
from attnprof.layers.attention import QKV
from attnprof.layers.decisions import decided
from attnprof.layers.row_order import rows
from attnprof.layers.selecting import selecting
from attnprof.words import Level

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
        with selecting():
            scores = self.sort(x)
        return (*self.to_qkv(x), scores)


class Sorted(NamedTuple):
    """Streams in their places, `[b, h, places, size, d]` each, and which of their keys are not there.

    `absent [b, places, size]` is None where every key is there.
    """

    streams: tuple[Tensor, ...]
    absent: Tensor | None


class Sorter(nn.Module):
    """Blocks of keys and values in the places that the scores give them: the first `kept` places, or all.

    Soft: sums of all blocks. Hard: the block of the largest weight, by index; the gradient goes straight through to
    that weight (Bengio et al. 2013), so that the network still learns. In training mode Gumbel noise of the scale
    `gumbel` is added to the scores before the temperature.

    The last block may be short: its tokens beyond n are no keys. Hard, they are absent from the place that takes it.
    Soft, a position that it lacks is a sum of the other blocks, whose weights there are scaled up to the row's sum, so
    that nothing is diluted. Under causality no place takes the last block.
    """

    def __init__(self, spec: Spec, kept: int | None = None) -> None:
        super().__init__()
        self.causal, self.hard, self.kept = spec.shape.causal, bool(spec.params["hard"]), kept
        self.temperature, self.iterations = float(spec.params["temperature"] or 1), spec.number("iterations")
        self.gumbel = float(spec.params["gumbel"] or 0)
        self.size = spec.number("block")
        self.short = 0 if self.causal else spec.shape.n % self.size

    def forward(self, scores: Tensor, *streams: Tensor) -> Sorted:
        """`scores [b, blocks, blocks]`, streams `[b, h, n, d]`."""
        blocks = [as_blocks(x, self.size) for x in streams]
        with selecting():
            return self._picked(scores, blocks) if self.hard else Sorted(self._mixed(scores, blocks), None)

    def logs(self, scores: Tensor) -> Tensor:
        """Logarithms of the weights of each block in each place, `[b, places, blocks]`, float32 at least."""
        if self.training and self.gumbel:
            scores = scores + decided(lambda: self.gumbel * gumbel_like(scores))
        return balanced_logs(scores, self.temperature, self.iterations, self.causal)[:, : self.kept]

    def _picked(self, scores: Tensor, blocks: list[Tensor]) -> Sorted:
        weights = self.logs(scores).exp().to(scores.dtype)
        chosen = decided(lambda: weights.argmax(-1))
        one = straight_through(weights, chosen)[:, None, ..., None]
        absent = None
        if self.short:
            beyond = torch.arange(self.size, device=chosen.device) >= self.short
            absent = (chosen == scores.shape[-1] - 1)[..., None] & beyond
        return Sorted(tuple(chosen_blocks(chosen, x) * one for x in blocks), absent)

    def _mixed(self, scores: Tensor, blocks: list[Tensor]) -> tuple[Tensor, ...]:
        logs = self.logs(scores)
        weights = logs.exp().to(scores.dtype)
        if not self.short:
            return tuple(mixed_blocks(weights, x) for x in blocks)
        others = (logs[..., :-1].softmax(-1) * logs.exp().sum(-1, keepdim=True)).to(scores.dtype)
        pairs = ((x[:, :, :, : self.short], x[:, :, :-1, self.short :]) for x in blocks)
        return tuple(torch.cat([mixed_blocks(weights, a), mixed_blocks(others, b)], 3) for a, b in pairs)


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


def balanced_logs(scores: Tensor, temperature: float, iterations: int, causal: bool = False) -> Tensor:
    """Nearly doubly stochastic weights of `scores [b, places, blocks]`: rows and columns normalised in turn, in logs.

    Causal: place I takes blocks before I only, and its share of a column is normalised over the places up to I. The
    logs are float32 at least: their rounding would add up.
    """
    logs = scores.to(torch.promote_types(scores.dtype, torch.float32)) / temperature
    if not causal:
        for _ in range(iterations):
            logs = logs - logs.logsumexp(-1, keepdim=True)
            logs = logs - logs.logsumexp(-2, keepdim=True)
        return logs
    later = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu()
    logs = logs.masked_fill(later, NOWHERE)
    for _ in range(iterations):
        logs = (logs - logs.logsumexp(-1, keepdim=True)).masked_fill(later, NOWHERE)
        logs = (logs - logs.logcumsumexp(-2)).masked_fill(later, NOWHERE)
    return logs


def as_blocks(x: Tensor, size: int) -> Tensor:
    """`[b, h, n, d]` as `[b, h, blocks, size, d]`; a ragged end is filled with zeros."""
    padding = -x.shape[2] % size
    return (F.pad(x, (0, 0, 0, padding)) if padding else x).unflatten(2, (-1, size))


def mixed_blocks(weights: Tensor, x: Tensor) -> Tensor:
    """Blocks `x [b, h, blocks, size, d]` in their places: sums of whole blocks by `weights [b, p, blocks]`."""
    return (weights[:, None] @ x.flatten(3)).unflatten(3, x.shape[3:])


def network_flops(spec: Spec) -> int:
    """2 b D (D + b) a sequence of b blocks, for both layers of the network; none where the level is the core's."""
    shape, blocks = spec.shape, blocks_of(spec)
    return 0 if shape.level is Level.CORE else 2 * shape.batch * blocks * shape.dim * (shape.dim + blocks)


def blocks_of(spec: Spec) -> int:
    """Blocks of the sequence, the last of which may be short."""
    return -(-spec.shape.n // spec.number("block"))
