"""Perceiver: latents read the tokens, then one another; a query a token reads them (Jaegle et al. 2021, 2022)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from attnprof.contracts import Spec
from attnprof.layers.attention import QKV, Attention, random_streams
from attnprof.layers.softmax import Softmax, attend, softmax_attention
from attnprof.shapes import Shape


class Core(nn.Module):
    """The mixings alone: `z [b, h, N, d]` over `k, v [b, g, n, d]`, over itself, and `q [b, h, n, d]` over z."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.depth = spec.number("latent_layers")

    def forward(self, z: Tensor, k: Tensor, v: Tensor, q: Tensor) -> Tensor:
        z = attend(z, k, v)
        for _ in range(self.depth):
            z = attend(z, z, z)
        return attend(q, z, z)

    def reference(self, z: Tensor, k: Tensor, v: Tensor, q: Tensor) -> Tensor:
        """As many softmaxes, written out."""
        z = softmax_attention(z, k, v)
        for _ in range(self.depth):
            z = softmax_attention(z, z, z)
        return softmax_attention(q, z, z)


class Layer(nn.Module):
    """`x [b, n, D]` to `[b, n, D]`: a reading block, a tower of blocks among latents, one query a token."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.latents = nn.Parameter(torch.randn(spec.number("latents"), spec.shape.dim) * 0.02)
        self.reading = LatentBlock(spec.shape)
        self.tower = nn.ModuleList(LatentBlock(spec.shape) for _ in range(spec.number("latent_layers")))
        self.before_queries, self.before_keys = nn.LayerNorm(spec.shape.dim), nn.LayerNorm(spec.shape.dim)
        self.writing = Attention(spec.shape, QKV(spec.shape), Softmax())

    def forward(self, x: Tensor) -> Tensor:
        z = self.reading(self.latents.expand(len(x), -1, -1), x)
        for block in self.tower:
            z = block(z, z)
        return self.writing(self.before_queries(x), self.before_keys(z))


class LatentBlock(nn.Module):
    """h = z + multihead(LN z, LN y, LN y), then h + MLP(LN h), as wide as z (widening factor 1)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.before_queries, self.before_keys, self.before_rows = (nn.LayerNorm(shape.dim) for _ in range(3))
        self.attention = Attention(shape, QKV(shape), Softmax())
        self.rows = nn.Sequential(nn.Linear(shape.dim, shape.dim), nn.GELU(), nn.Linear(shape.dim, shape.dim))

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        h = z + self.attention(self.before_queries(z), self.before_keys(y))
        return h + self.rows(self.before_rows(h))


def streams(spec: Spec) -> tuple[Tensor, ...]:
    """Random inputs of the core."""
    q, k, v = random_streams(spec.shape)
    return q.new_empty(*q.shape[:2], spec.number("latents"), q.shape[3]).normal_(), k, v, q


def flops_core(spec: Spec) -> int:
    """8 n N d a head to read and to write, 4 N^2 d for each layer among the N latents, whatever n is."""
    shape, count = spec.shape, spec.number("latents")
    pairs = 2 * shape.n * count + spec.number("latent_layers") * count**2
    return 4 * shape.batch * shape.heads * shape.d * pairs
