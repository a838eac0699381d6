"""Reformer: locality-sensitive hashing, sorted tokens in chunks, several rounds (Kitaev et al. 2020, section 3)."""

from __future__ import annotations

from math import isqrt, prod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attnprof.contracts import Spec
from attnprof.errors import AttnprofError
from attnprof.layers.attention import dtype_of, split_heads
from attnprof.layers.decisions import decided
from attnprof.layers.row_order import inverse, ordered, restored
from attnprof.layers.selecting import selecting

SELF = -1e5


class Core(nn.Module):
    """Streams `qk, v [b, h, n, d]`, queries and keys being one; rotations `[h, d, rounds * columns]` are a buffer."""

    rotations: Tensor

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.causal, self.n = spec.shape.causal, spec.shape.n
        self.size, self.rounds = spec.number("chunk"), spec.number("hashes")
        self.factors = factors(spec)
        self.once = spec.params["duplicates"] == "once"
        draw = torch.Generator().manual_seed(spec.shape.seed * 1009 + spec.layer)
        columns = self.rounds * sum(f // 2 for f in self.factors)
        self.register_buffer("rotations", torch.randn(spec.shape.heads, spec.shape.d, columns, generator=draw))

    def forward(self, qk: Tensor, v: Tensor) -> Tensor:
        order, back = self.order(decided(lambda: self.buckets(qk)))
        padding = order.shape[-1] - self.n
        if padding:
            qk, v = F.pad(qk, (0, 0, 0, padding)), F.pad(v, (0, 0, 0, padding))
        q = self.chunks(ordered(qk, order, back))
        k, v = self.near(F.normalize(q, dim=-1)), self.near(self.chunks(ordered(v, order, back)))
        scores = q @ k.transpose(-2, -1)
        if self.once:
            scores = scores - self.repeats(order, back).to(scores.dtype).log_()
        self.hide_(scores, order)
        peak = scores.detach().amax(-1, keepdim=True).clamp(min=torch.finfo(scores.dtype).min)
        weights = scores.sub_(peak).exp_()
        total = weights.sum(-1, keepdim=True, dtype=torch.promote_types(q.dtype, torch.float32))
        places = (order, back[..., : self.n])
        return combined(*(restored(self.rows(part), *places) for part in (weights @ v, total, peak))).to(v.dtype)

    def reference(self, qk: Tensor, v: Tensor) -> Tensor:
        """Every round over all pairs, each key as often as the round reads it; rounds weighted by their normalisers.

        A token's place in a round is how many tokens have a smaller (bucket, position), its chunk that over c. A chunk
        reads itself and the one before it, the first of a round the last of the round before.
        """
        i, j = torch.arange(self.n, device=v.device)[:, None], torch.arange(self.n, device=v.device)
        count = -(-self.n // self.size)
        rounds, total = self.hashed(qk), self.rounds * count
        ahead = [(b[..., None, :] < b[..., None]) | ((b[..., None, :] == b[..., None]) & (j < i)) for b in rounds]
        chunk = torch.stack([at * count + place.sum(-1) // self.size for at, place in enumerate(ahead)], 2)
        read = torch.zeros(*chunk.shape, self.n, dtype=v.dtype, device=v.device)
        for key in chunk.unbind(2):
            key = key[:, :, None, None, :]
            read += (key == chunk[..., None]).to(v.dtype)
            read += (key == (chunk[..., None] - 1) % total).to(v.dtype) if count > 1 else 0
        read = read * (j <= i) if self.causal else read
        keys = qk / qk.norm(dim=-1, keepdim=True)
        scores = torch.einsum("bhid,bhjd->bhij", qk, keys).masked_fill(i == j, SELF)
        scores = scores[:, :, None] - (read.sum(2, keepdim=True).clamp(min=1).log() if self.once else 0) + read.log()
        norm = scores.logsumexp(-1, keepdim=True)
        mixed = torch.einsum("bhrij,bhjd->bhrid", (scores - norm).exp(), v)
        return (norm.softmax(2) * mixed).sum(2)

    @torch.no_grad()
    def hashed(self, qk: Tensor) -> list[Tensor]:
        """h(x) = argmax [x R; -x R] of every round, `[b, h, n]` each; of two factors the first counts the higher."""
        found, column = [], 0
        for _ in range(self.rounds):
            bucket = torch.zeros(qk.shape[:3], dtype=torch.int64, device=qk.device)
            for factor in self.factors:
                turned = torch.einsum("bhid,hdc->bhic", qk, self.rotations[:, :, column : column + factor // 2])
                bucket = bucket * factor + torch.cat([turned, -turned], -1).argmax(-1)
                column += factor // 2
            found.append(bucket)
        return found

    def order(self, bucket: Tensor) -> tuple[Tensor, Tensor]:
        """Positions by (bucket, position) in every round, padding last, `[b, h, rounds, n']`; and the inverse."""
        order = bucket.transpose(2, 3).sort(stable=True, dim=-1).indices
        last = torch.arange(self.n, self.n + -self.n % self.size, device=order.device)
        order = torch.cat([order, last.expand(*order.shape[:3], -1)], -1) if len(last) else order
        return order, inverse(order)

    @selecting()
    @torch.no_grad()
    def buckets(self, qk: Tensor) -> Tensor:
        """Hash of each token, `[b, h, n, rounds]`: the nearest of random directions and their opposites."""
        turned = (qk @ self.rotations).unflatten(-1, (self.rounds, -1))
        bucket: Tensor | int = 0
        for factor, part in zip(self.factors, turned.split([f // 2 for f in self.factors], -1), strict=True):
            best = part.abs().argmax(-1, keepdim=True)
            opposite = part.gather(-1, best) < 0
            bucket = bucket * factor + (best + opposite * (factor // 2)).squeeze(-1)
        assert isinstance(bucket, Tensor)
        return bucket.to(torch.int16 if prod(self.factors) < 2**15 else torch.int32)

    @torch.no_grad()
    def hide_(self, scores: Tensor, order: Tensor) -> None:
        """Cut later and padded keys and set each token's score of itself, in place and without a trace in the graph.

        A cut score has weight 0, and that of a token that reads only itself is constant: neither passes a gradient.
        """
        query = self.chunks(order.to(torch.int32)[..., None])
        key = self.near(query).transpose(-2, -1)
        if self.causal:
            scores.masked_fill_(key > query, float("-inf"))
        elif order.shape[-1] > self.n:
            scores.masked_fill_(key >= self.n, float("-inf"))
        scores.masked_fill_(key == query, max(SELF, torch.finfo(scores.dtype).min / 2))

    @torch.no_grad()
    def repeats(self, order: Tensor, back: Tensor) -> Tensor:
        """How often, over all rounds, the query of a pair reads its key, `[b, h, chunks, c, 2 c]`."""
        chunk = back.div(self.size, rounding_mode="floor").to(torch.int32)
        total, single = self.rounds * (order.shape[-1] // self.size), order.shape[-1] == self.size
        found: Tensor | int = 0
        places = [
            self.chunks(chunk[:, :, at, None].expand_as(order).gather(-1, order)[..., None])
            for at in range(self.rounds)
        ]
        for at, query in enumerate(places):
            before = (query - 1) % total
            for other in {at, (at - 1) % self.rounds}:
                key = self.near(places[other]).transpose(-2, -1)
                found = found + (key == query).to(torch.int32) + (0 if single else (key == before).to(torch.int32))
        assert isinstance(found, Tensor)
        return found

    def chunks(self, x: Tensor) -> Tensor:
        """`[b, h, rounds, n', e]` as `[b, h, rounds * chunks, c, e]`."""
        return x.flatten(2, 3).unflatten(2, (-1, self.size))

    def rows(self, x: Tensor) -> Tensor:
        """The opposite of `chunks`."""
        return x.flatten(2, 3).unflatten(2, (self.rounds, -1))

    def near(self, x: Tensor) -> Tensor:
        """Each chunk after the one before it, `[b, h, chunks, 2 c, e]`; a single chunk of a round stands alone."""
        return x if x.shape[2] == self.rounds else torch.cat([x.roll(1, 2), x], 3)


class Projections(nn.Module):
    """One projection for queries and keys, one for values, without bias."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.heads = spec.shape.heads
        self.to_qk = nn.Linear(spec.shape.dim, spec.shape.heads * spec.shape.d, bias=False)
        self.to_v = nn.Linear(spec.shape.dim, spec.shape.heads * spec.shape.d, bias=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return split_heads(self.to_qk(x), self.heads), split_heads(self.to_v(x), self.heads)


def combined(mixed: Tensor, total: Tensor, peak: Tensor) -> Tensor:
    """Rounds `[b, h, rounds, n, d or 1]` in one: each weighs as much as its normaliser, total * exp(peak)."""
    if mixed.shape[2] == 1:
        return (mixed / total)[:, :, 0]
    scale = (peak - peak.amax(2, keepdim=True)).exp()
    return (mixed * scale).sum(2) / (total * scale).sum(2)


def factors(spec: Spec) -> tuple[int, ...]:
    """One hash for all buckets, or two whose product they are once they are many."""
    buckets, size = spec.number("buckets"), spec.number("chunk")
    if buckets % 2:
        raise AttnprofError(f"reformer.buckets is {buckets}, but a hash has opposite directions", hint="an even number")
    if buckets <= 2 * max(isqrt(spec.shape.n // size), size) or buckets & (buckets - 1):
        return (buckets,)
    power = buckets.bit_length() - 1
    return 2 ** (power // 2), 2 ** (power - power // 2)


def streams(spec: Spec) -> tuple[Tensor, Tensor]:
    """Random inputs of the core."""
    shape = spec.shape
    qk = torch.randn(shape.batch, shape.heads, shape.n, shape.d, dtype=dtype_of(shape))
    return qk, torch.randn_like(qk)


def flops_core(spec: Spec) -> int:
    """A round: 4 d a pair of a padded chunk and its two chunks of keys."""
    shape, size = spec.shape, spec.number("chunk")
    count = -(-shape.n // size)
    pairs = count * size * size * (2 if count > 1 else 1)
    return shape.batch * shape.heads * spec.number("hashes") * shape.d * 4 * pairs


def flops_selection(spec: Spec) -> int:
    """A round: n d columns for hashing."""
    shape = spec.shape
    hashing = 2 * shape.n * sum(f // 2 for f in factors(spec))
    return shape.batch * shape.heads * spec.number("hashes") * shape.d * hashing
