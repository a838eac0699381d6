"""Routing Transformer: attention within clusters of queries and keys (Roy et al. 2021, algorithm 1)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attnprof.contracts import Spec
from attnprof.layers.attention import QKV, dtype_of, split_heads
from attnprof.layers.decisions import decided
from attnprof.layers.row_order import picked, put_back
from attnprof.layers.selecting import selecting

SELF = -1e5
DECAY = 0.999
NEARLY_ZERO = 1e-5  # what layer normalisation adds to a variance


class Core(nn.Module):
    """Streams `q, k, v [b, h, n, d]`, or `qk, v` where they are shared; centroids `[h, clusters, d]` are a buffer."""

    centroids: Tensor

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        shape = spec.shape
        self.causal, self.shared = shape.causal, shared(spec)
        self.window = spec.number("window")
        draw = torch.Generator().manual_seed(shape.seed * 1009 + spec.layer)
        size = (shape.heads, spec.number("clusters"), shape.d)
        self.register_buffer("centroids", F.normalize(torch.randn(size, generator=draw), dim=-1))

    def forward(self, *streams: Tensor) -> Tensor:
        q, k, v = self.normed(*streams)
        mine, theirs = decided(lambda: self.members(q, k))
        query, key, value = picked(q, mine), picked(k, theirs), picked(v, theirs)
        scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-2, -1)
        self.hide_(scores, mine, theirs)
        peak = scores.detach().amax(-1, keepdim=True).clamp(min=torch.finfo(scores.dtype).min)
        weights = scores.sub_(peak).exp_()
        total = weights.sum(-1, keepdim=True)
        mixed = (weights @ value) / total.clamp(min=torch.finfo(total.dtype).tiny)
        found = self.found(total, mine, q.shape[2]).to(mixed.dtype)
        return put_back(mixed, mine, q.shape[2]) / found

    def reference(self, *streams: Tensor) -> Tensor:
        """One masked softmax over all pairs for each centroid; a token gets the mean of those it reads something in.

        A centroid takes the tokens that fewer than `window` others come before, by their product with it.
        """
        q, v = unit(streams[0]), streams[-1]
        k = q if self.shared else unit(streams[1])
        place = torch.arange(q.shape[2], device=q.device)
        scores = torch.einsum("bhid,bhjd->bhij", q, k) / q.shape[-1] ** 0.5
        scores = scores.masked_fill(place == place[:, None], SELF) if self.shared else scores
        out, found = torch.zeros_like(v), torch.zeros_like(v[..., :1])
        for centroid in self.centroids.unbind(1):
            far = [-torch.einsum("bhid,hd->bhi", x.detach(), centroid) for x in (q, k)]
            query, key = (x.sort(stable=True, dim=-1).indices.argsort(-1) < self.window for x in far)
            edge = query[..., None] & key[..., None, :]
            edge = edge & (place <= place[:, None]) if self.causal else edge
            reads = edge.any(-1, keepdim=True)
            weights = scores.masked_fill(~edge, float("-inf")).softmax(-1).masked_fill(~reads, 0.0)
            out, found = out + weights @ v, found + reads
        return out / found.clamp(min=1)

    def normed(self, q: Tensor, *rest: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries and keys with mean 0 and length sqrt(d), and the values."""
        width = (q.shape[-1],)
        normed = F.layer_norm(q, width)
        return (normed, normed, rest[0]) if self.shared else (normed, F.layer_norm(rest[0], width), rest[1])

    @selecting()
    @torch.no_grad()
    def members(self, q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        """The tokens nearest to each centroid, in the order of the sequence, `[b, h, clusters, window]` for q and k."""
        mine = self.nearest(q)
        return mine, mine if self.shared else self.nearest(k)

    def nearest(self, x: Tensor) -> Tensor:
        """The tokens of one side that each centroid takes."""
        return (self.centroids @ x.transpose(-2, -1)).topk(self.window, sorted=False).indices.sort(-1).values

    @torch.no_grad()
    def hide_(self, scores: Tensor, mine: Tensor, theirs: Tensor) -> None:
        """Cut later keys and set each token's score of itself, in place and without a trace in the graph.

        A cut score has weight 0, and that of a token that reads only itself is constant: neither passes a gradient.
        """
        query, key = mine.to(torch.int32)[..., None], theirs.to(torch.int32)[..., None, :]
        if self.causal:
            scores.masked_fill_(key > query, float("-inf"))
        if self.shared:
            scores.masked_fill_(key == query, max(SELF, torch.finfo(scores.dtype).min / 2))

    @torch.no_grad()
    def found(self, total: Tensor, mine: Tensor, n: int) -> Tensor:
        """In how many clusters each token reads something, at least 1, `[b, h, n, 1]`."""
        reads = (total.squeeze(-1) > 0).flatten(2).to(torch.int64)
        count = torch.zeros(*mine.shape[:2], n, dtype=torch.int64, device=mine.device)
        return count.scatter_add_(-1, mine.flatten(2), reads).clamp_(min=1)[..., None]

    @torch.no_grad()
    def learn(self, *streams: Tensor) -> None:
        """Move each centroid towards the mean of the tokens nearest to it: mu = 0.999 mu + 0.0005 (sum q + sum k)."""
        moved = self.centroids * DECAY
        sides = self.normed(*streams)[:2]
        for x in sides:
            near = F.one_hot((x @ self.centroids.transpose(-2, -1)).argmax(-1), self.centroids.shape[1]).to(x.dtype)
            total = (near.transpose(-2, -1) @ x).sum(0)
            moved = moved + (1 - DECAY) / 2 * total / near.sum((0, 2)).clamp(min=1)[..., None]
        self.centroids.copy_(F.normalize(moved, dim=-1))


class Projections(nn.Module):
    """Queries, keys and values; one projection for queries and keys where they are shared."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.shared, self.heads = shared(spec), spec.shape.heads
        if self.shared:
            self.to_qk = nn.Linear(spec.shape.dim, spec.shape.heads * spec.shape.d, bias=False)
            self.to_v = nn.Linear(spec.shape.dim, spec.shape.heads * spec.shape.d, bias=False)
        else:
            self.to_qkv = QKV(spec.shape)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        if not self.shared:
            return self.to_qkv(x)
        return split_heads(self.to_qk(x), self.heads), split_heads(self.to_v(x), self.heads)


def unit(x: Tensor) -> Tensor:
    """Rows with mean 0 and variance 1, as the reference writes it; a constant row gives 0."""
    centred = x - x.mean(-1, keepdim=True)
    return centred / ((centred**2).mean(-1, keepdim=True) + NEARLY_ZERO).sqrt()


def shared(spec: Spec) -> bool:
    """Whether keys are the queries."""
    sharing = str(spec.params["sharing"])
    return sharing == "always" or (sharing == "causal" and spec.shape.causal)


def streams(spec: Spec) -> tuple[Tensor, ...]:
    """Random inputs of the core."""
    shape = spec.shape
    sizes = (shape.batch, shape.heads, shape.n, shape.d)
    return tuple(torch.randn(sizes, dtype=dtype_of(shape)) for _ in range(2 if shared(spec) else 3))


def flops_core(spec: Spec) -> int:
    """A head: 4 k w^2 d to mix."""
    shape = spec.shape
    return 4 * shape.batch * shape.heads * shape.d * spec.number("clusters") * spec.number("window") ** 2


def flops_selection(spec: Spec) -> int:
    """A head: 2 n k d to route each of queries and keys."""
    shape, sides = spec.shape, 1 if shared(spec) else 2
    return 2 * shape.batch * shape.heads * shape.d * shape.n * spec.number("clusters") * sides
