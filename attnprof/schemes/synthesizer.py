"""Synthesizer: weights predicted from the token alone, or learned, without a query-key product (Tay et al. 2021, 3)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attnprof.contracts import Spec
from attnprof.layers.attention import dtype_of, random_streams, split_heads
from attnprof.layers.kv_cache import KVCache, read_with

VALUES_ONLY = 0  # the width of the keys that its cache does not need


class Core(nn.Module):
    """`hidden [b, h, n, d]` of the dense variant, and `v [b, h, n, d]`; learned tables of n places.

    Causal, the tables have places more: for the tokens that decoding adds.
    """

    later: Tensor | None

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        shape, variant = spec.shape, str(spec.params["variant"])
        self.shape, places, rank = shape, shape.n + shape.causal * shape.drafts, spec.number("rank")
        widths = {"dense": [shape.d], "random": [places], "factorised": [rank, rank]}[variant]
        self.tables = nn.ParameterList(torch.randn(shape.heads, places, width) * width**-0.25 for width in widths)
        self.dense = variant == "dense"
        later = torch.ones(shape.n, shape.n, dtype=torch.bool).triu(1) if shape.causal else None
        self.register_buffer("later", later)

    def forward(self, *streams: Tensor) -> Tensor:
        v = streams[-1]
        scores = self.scores(streams[0], slice(0, v.shape[2]), v.shape[2])
        if self.later is not None:
            scores = scores.masked_fill(self.later, float("-inf"))
        return scores.softmax(-1) @ v

    def reference(self, *streams: Tensor) -> Tensor:
        """Score (i, j) from row j of W2 and token i, or the entry (i, j) of R, or of R1 R2^T."""
        v, tables = streams[-1], list(self.tables)
        n = v.shape[2]
        if self.dense:
            scores = torch.einsum("bhid,hjd->bhij", streams[0], tables[0][:, :n])
        elif len(tables) == 1:
            scores = tables[0][None, :, :n, :n]
        else:
            scores = torch.einsum("hir,hjr->hij", tables[0][:, :n], tables[1][:, :n])[None]
        place = torch.arange(n, device=v.device)
        if self.shape.causal:
            scores = scores.where(place <= place[:, None], torch.full_like(scores, float("-inf")))
        weights = (scores - scores.amax(-1, keepdim=True)).exp()
        return torch.einsum("bhij,bhjd->bhid", (weights / weights.sum(-1, keepdim=True)).expand(len(v), -1, -1, -1), v)

    def scores(self, hidden: Tensor, rows: slice, keys: int) -> Tensor:
        """Of tokens at `rows` over the first `keys` places: `[b, h, rows, keys]`, or, learned, `[h, rows, keys]`."""
        if self.dense:
            return hidden @ self.tables[0][:, :keys].transpose(-2, -1)
        if len(self.tables) == 1:
            return self.tables[0][:, rows, :keys]
        return self.tables[0][:, rows] @ self.tables[1][:, :keys].transpose(-2, -1)

    def state(self, n: int) -> KVCache:
        """Values of n tokens, of random content."""
        shape = self.shape
        return values_kept(torch.randn(shape.batch, shape.heads, n, shape.d, dtype=dtype_of(shape)))

    def prefill(self, *streams: Tensor) -> KVCache:
        """The state after these tokens."""
        return values_kept(streams[-1])

    def step(self, *given: Tensor | KVCache) -> tuple[Tensor, KVCache]:
        """`hidden` of the dense variant, `v` and the state: rows from n on of the scores over all the values."""
        first, v, state = given[0], given[-2], given[-1]
        assert isinstance(first, Tensor)
        assert isinstance(v, Tensor)
        assert isinstance(state, KVCache)
        reads = read_with(state, v[..., :VALUES_ONLY], v)
        scores = self.scores(first, slice(state.n, reads.cache.n), reads.cache.n)
        if reads.hidden is not None:
            scores = scores.masked_fill(reads.hidden, float("-inf"))
        shares = scores.softmax(-1).split([held.shape[2] for held in reads.values], -1)
        mixed = [share @ held for share, held in zip(shares, reads.values, strict=True)]
        return torch.stack(mixed).sum(0), reads.cache


class Projections(nn.Module):
    """Values, and of the dense variant relu(x W1) before them."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.heads, width = spec.shape.heads, spec.shape.heads * spec.shape.d
        dense = spec.params["variant"] == "dense"
        self.to_hidden = nn.Linear(spec.shape.dim, width, bias=False) if dense else None
        self.to_v = nn.Linear(spec.shape.dim, width, bias=False)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        v = split_heads(self.to_v(x), self.heads)
        return (v,) if self.to_hidden is None else (split_heads(F.relu(self.to_hidden(x)), self.heads), v)


def values_kept(v: Tensor) -> KVCache:
    """A cache of values alone."""
    return KVCache(v[..., :VALUES_ONLY], v, v.shape[2])


def streams(spec: Spec) -> tuple[Tensor, ...]:
    """Random inputs of the core."""
    q, _, v = random_streams(spec.shape)
    return (q.relu(), v) if spec.params["variant"] == "dense" else (v,)


def flops_core(spec: Spec) -> int:
    """2 n^2 d a head for the values; the scores as much (dense), none (random), 2 n^2 r once a batch (factorised)."""
    shape = spec.shape
    pairs = 2 * shape.heads * shape.n**2
    each = {"dense": 2, "random": 1, "factorised": 1}[str(spec.params["variant"])]
    once = spec.number("rank") * pairs if spec.params["variant"] == "factorised" else 0
    return shape.batch * each * pairs * shape.d + once
