"""Axial attention in raster order: outer and inner decoder (Ho et al. 2019, section 3.2)."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attnprof.contracts import Spec
from attnprof.layers.gathered import GatherCore
from attnprof.layers.gathered import flops_core as gathered_flops
from attnprof.layers.softmax import softmax_attention
from attnprof.pattern import Blocks, Expr, Pattern, Strided
from attnprof.words import Level


class Core(GatherCore):
    """One of the three mixings on `q, k, v [b, h, n, d]`: rows, columns so far, rows so far."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(mixing(spec))
        self.width, self.layer = spec.number("stride"), spec.layer % 3

    def reference(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """A softmax over the row, over the column up to the token, or over the row up to the token."""
        place = torch.arange(q.shape[2], device=q.device)
        row, column, past = place // self.width, place % self.width, place <= place[:, None]
        same_row, same_column = row == row[:, None], column == column[:, None]
        return softmax_attention(q, k, v, (same_row, same_column & past, same_row & past)[self.layer])


class Decoders(nn.Module):
    """Outer rows and columns, then the inner rows on x plus the outer result, one row down: `x [b, n, D]`."""

    def __init__(self, layers: list[nn.Module], width: int) -> None:
        super().__init__()
        self.rows, self.columns, self.inner = layers
        self.width = width

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x + shifted_down(self.columns(self.rows(x)), self.width))

    def reference(self, x: Tensor) -> Tensor:
        """The token one row below reads what the outer layers say of a token; the first row reads nothing."""
        outer = self.columns(self.rows(x))
        return self.inner(x + torch.cat([torch.zeros_like(x)[:, : self.width], outer], 1)[:, : x.shape[1]])


class DecoderCores(Decoders):
    """The mixings alone: the values pass through all three, queries and keys are those of every layer."""

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:  # type: ignore[override]
        k, v = (x.repeat_interleave(q.shape[1] // x.shape[1], 1) for x in (k, v))
        outer = self.columns(q, k, self.rows(q, k, v))
        return self.inner(q, k, v + shifted_down(outer, self.width))

    def reference(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:  # type: ignore[override]
        """The same on the values, every query head with those of its KV head."""
        k, v = (x.repeat_interleave(q.shape[1] // x.shape[1], 1) for x in (k, v))
        outer = self.columns(q, k, self.rows(q, k, v))
        return self.inner(q, k, v + torch.cat([torch.zeros_like(v)[:, :, : self.width], outer], 2)[:, :, : q.shape[2]])


def shifted_down(x: Tensor, width: int) -> Tensor:
    """`[..., n, e]` in raster order moved one row down; the first row becomes 0."""
    return F.pad(x, (0, 0, width, 0))[..., : x.shape[-2], :]


def stacked(layers: list[nn.Module], level: Level) -> nn.Module:
    """The three layers as the pair of decoders."""
    width = next(core.width for layer in layers for core in layer.modules() if isinstance(core, Core))
    return (DecoderCores if level is Level.CORE else Decoders)(layers, width)


def mixing(spec: Spec) -> Spec:
    """The spec of what one layer computes: outer rows read their whole row, and are moved down afterwards."""
    width = spec.number("stride")

    def draw(layer: int, head: int) -> Expr:
        return (Blocks(width), Strided(width, causal=True), Blocks(width, causal=True))[layer]

    return replace(spec, pattern=Pattern("axial", spec.shape.n, False, draw, layers=3))


def flops_core(spec: Spec) -> int:
    """The tiles of one layer: full rows, columns and rows, masked or not."""
    return gathered_flops(mixing(spec))
