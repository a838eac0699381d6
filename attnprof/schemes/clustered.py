"""Clustered attention: queries of one cluster share a row, which its best keys improve (Vyas et al. 2020, 3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from attnprof.contracts import Spec
from attnprof.layers.chosen_blocks import TILE, chosen_part, most_tiles, over_choices
from attnprof.layers.decisions import decided
from attnprof.layers.index_tables import counting
from attnprof.layers.partial_softmax import joined
from attnprof.layers.row_order import picked, put_back, rows
from attnprof.layers.selecting import selecting


class Core(nn.Module):
    """`q, k, v [b, h, n, d]`; directions of the hash `[bits, d]` and the first centres, tokens `[C]`, are drawn.

    Hamming distances are products of signs here.
    """

    directions: Tensor
    first: Tensor

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.clusters, self.topk = spec.number("clusters"), spec.number("topk")
        self.iterations, source = spec.number("iterations"), torch.Generator()
        source.manual_seed(spec.shape.seed * 1009 + spec.layer)
        size, n = (spec.number("bits"), spec.shape.d), spec.shape.n
        drawn = torch.empty(size) if counting() else torch.randn(size, generator=source)
        self.register_buffer("directions", drawn)
        chosen = torch.arange(n) if counting() else torch.randperm(n, generator=source)
        self.register_buffer("first", chosen[: self.clusters])

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        mine = decided(lambda: self.clustered(q))
        centre, scale = means(q, mine, self.clusters), q.shape[-1] ** -0.5
        shared = (centre * scale @ k.transpose(-2, -1)).softmax(-1)
        if not self.topk:
            return rows(shared @ v, mine)
        best = decided(lambda: shared.detach().topk(self.topk, sorted=False).indices)
        mass = shared.gather(-1, best).sum(-1, keepdim=True)
        rest = rows(shared.scatter(-1, best, 0.0) @ v, mine)
        near = chosen_part(q * scale, picked(k, best), picked(v, best), mine[..., None])
        return rest + rows(mass, mine) * joined([over_choices(near)])

    def reference(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Row i is that of its cluster; on the cluster's best keys, whose share of the mass stays, its own softmax."""
        mine = self._by_distance(q)
        member = (mine[..., None] == torch.arange(self.clusters, device=q.device)).to(q.dtype)
        centre = torch.einsum("bhnc,bhnd->bhcd", member, q) / member.sum(2).clamp(min=1)[..., None]
        shared = (torch.einsum("bhcd,bhjd->bhcj", centre, k) / q.shape[-1] ** 0.5).softmax(-1)
        least = shared.sort(descending=True).values[..., self.topk - 1 : self.topk] if self.topk else None
        weights = torch.einsum("bhnc,bhcj->bhnj", member, shared)
        if least is not None:
            best = torch.einsum("bhnc,bhcj->bhnj", member, (shared >= least).to(q.dtype)) > 0
            mass = weights.where(best, torch.zeros_like(weights)).sum(-1, keepdim=True)
            exact = torch.einsum("bhid,bhjd->bhij", q, k) / q.shape[-1] ** 0.5
            exact = exact.masked_fill(~best, float("-inf")).softmax(-1)
            weights = torch.where(best, mass * exact, weights)
        return torch.einsum("bhij,bhjd->bhid", weights, v)

    @torch.no_grad()
    @selecting()
    def clustered(self, q: Tensor) -> Tensor:
        """The cluster of each query, `[b, h, n]`: Lloyd's iterations in Hamming space from the first centres."""
        signs = torch.where(q @ self.directions.T >= 0, 1.0, -1.0).to(q.dtype)
        centre = signs.index_select(2, self.first)
        for _ in range(self.iterations):
            mine = (signs @ centre.transpose(-2, -1)).argmax(-1)
            votes = put_back(signs, mine, self.clusters)
            centre = torch.where(
                put_back(torch.ones_like(signs[..., :1]), mine, self.clusters) > 0, votes.sign(), centre
            )
        return (signs @ centre.transpose(-2, -1)).argmax(-1)

    @torch.no_grad()
    def _by_distance(self, q: Tensor) -> Tensor:
        """The same by distances of bits: a bit of a centre on which its queries are divided is half off for all."""
        bits = (torch.einsum("bhnd,md->bhnm", q, self.directions) >= 0).to(q.dtype)
        centre = bits[:, :, self.first]
        for _ in range(self.iterations):
            mine = (bits[:, :, :, None] - centre[:, :, None]).abs().sum(-1).argmin(-1)
            member = (mine[..., None] == torch.arange(self.clusters, device=q.device)).to(q.dtype)
            count = member.sum(2)[..., None]
            share = torch.einsum("bhnc,bhnm->bhcm", member, bits) / count.clamp(min=1)
            centre = torch.where(count > 0, 0.5 + (share - 0.5).sign() / 2, centre)
        return (bits[:, :, :, None] - centre[:, :, None]).abs().sum(-1).argmin(-1)


def means(x: Tensor, mine: Tensor, count: int) -> Tensor:
    """The mean row of each cluster, `[b, h, count, d]`; 0 for an empty one."""
    size = put_back(torch.ones_like(x[..., :1]).detach(), mine, count)
    return put_back(x, mine, count) / size.clamp(min=1)


def flops_core(spec: Spec) -> int:
    """4 n C d a head for C shared rows, 4 k d a query and its cluster's best k keys, in tiles of one cluster each."""
    shape, clusters = spec.shape, spec.number("clusters")
    near = most_tiles(shape.n, clusters) * TILE * spec.number("topk")
    return 4 * shape.batch * shape.heads * shape.d * (shape.n * clusters + near)


def flops_selection(spec: Spec) -> int:
    """2 n b d a head to hash to b bits, 2 n C b to compare with C centres, once more than there are iterations."""
    shape, bits = spec.shape, spec.number("bits")
    compared = (spec.number("iterations") + 1) * spec.number("clusters") * bits
    return 2 * shape.batch * shape.heads * shape.n * (bits * shape.d + compared)
