"""Cluster-Former: overlapping windows, then chunks of the tokens sorted by cluster (Wang et al. 2021, section 3)."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attnprof.contracts import Spec
from attnprof.layers.attention import QKV, dtype_of, random_streams
from attnprof.layers.decisions import decided
from attnprof.layers.index_tables import counting, table
from attnprof.layers.row_order import rows
from attnprof.layers.scan import chunked
from attnprof.layers.selecting import selecting
from attnprof.layers.softmax import hide, softmax_attention


class WindowLayer(nn.Module):
    """Even layers: `q, k, v [b, h, n, d]`; a token reads all windows that it is in. Hidden states are not asked for.

    The first `cut` of the `stride` tokens of a block are in one window more than the others: two parts, each of which
    reads a view of the padded sequence.
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.spec, self.plan = spec, WindowPlan(spec)
        for name, (_, _, start, width) in self.plan.parts.items():
            self.register_buffer(name, table(self.plan.absent(start, width)))

    def forward(self, q: Tensor, k: Tensor, v: Tensor, x: Tensor | None = None) -> Tensor:
        plan, n = self.plan, q.shape[2]
        q = chunked(q * q.shape[-1] ** -0.5, plan.stride)
        done = []
        for name, (first, stop, start, width) in plan.parts.items():
            keys, values = (plan.windows(part, start, width) for part in (k, v))
            scores = q[:, :, :, first:stop] @ keys.transpose(-2, -1)
            hide(scores, self.get_buffer(name))
            done.append(scores.softmax(-1) @ values)
        return (torch.cat(done, 3) if len(done) > 1 else done[0]).flatten(2, 3)[:, :, :n]

    def reference(self, q: Tensor, k: Tensor, v: Tensor, x: Tensor | None = None) -> Tensor:
        """Window t is [stride t, stride t + window), up to the first that holds the last token."""
        n, window, stride = q.shape[2], self.spec.number("window"), self.spec.number("stride")
        place, seen, start = torch.arange(n, device=q.device), torch.zeros(n, n, dtype=torch.bool, device=q.device), 0
        while True:
            inside = (place >= start) & (place < start + window)
            seen = seen | (inside[:, None] & inside)
            if start + window >= n:
                return softmax_attention(q, k, v, seen)
            start += stride


class WindowPlan:
    """Blocks of `stride` tokens, in parts: first and last token of it, start (from the block's) and width of keys."""

    def __init__(self, spec: Spec) -> None:
        self.n, window, stride = spec.shape.n, spec.number("window"), spec.number("stride")
        window, self.stride = (window, stride) if self.n > window else (self.n, self.n)
        self.blocks, more = -(-self.n // self.stride), (window - 1) // self.stride
        cut = window - more * self.stride
        self.parts = {"early": (0, cut, -more * self.stride, more * self.stride + window)}
        if cut < self.stride:
            start = (1 - more) * self.stride
            self.parts["late"] = (cut, self.stride, start, window - start)

    def absent(self, start: int, width: int) -> np.ndarray:
        """Keys that are not there, `[blocks, 1, width]`."""
        key = np.arange(self.blocks)[:, None, None] * self.stride + start + np.arange(width)
        return (key < 0) | (key >= self.n)

    def windows(self, x: Tensor, start: int, width: int) -> Tensor:
        """The rows of `x [b, h, n, d]` that each block reads, `[b, h, blocks, width, d]`, zeros beyond the ends."""
        stop = (self.blocks - 1) * self.stride + start + width
        padded = F.pad(x, (0, 0, -start, max(stop - self.n, 0)))
        return padded.unfold(2, width, self.stride)[:, :, : self.blocks].transpose(-2, -1)

    @property
    def pairs(self) -> int:
        """Query-key pairs of one head, padding included."""
        return self.blocks * sum((stop - first) * width for first, stop, _, width in self.parts.values())


class ClusterLayer(nn.Module):
    """Odd layers: `q, k, v [b, h, n, d]`, hidden states `x [b, n, D]`; centres `[clusters, D]` come from `learn`."""

    centres: Tensor
    absent: Tensor | None

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.size, n, source = min(spec.number("window"), spec.shape.n), spec.shape.n, torch.Generator()
        self.iterations = spec.number("iterations")
        source.manual_seed(spec.shape.seed * 1009 + spec.layer)
        size = (spec.number("clusters"), spec.shape.dim)
        drawn = torch.empty(size) if counting() else torch.randn(size, generator=source)
        self.register_buffer("centres", drawn)
        absent = np.arange(-(-n // self.size) * self.size).reshape(-1, 1, self.size) >= n
        self.register_buffer("absent", table(absent) if absent.any() else None)

    def forward(self, q: Tensor, k: Tensor, v: Tensor, x: Tensor) -> Tensor:
        order = decided(lambda: self.order(x))[:, None].expand(-1, q.shape[1], -1)
        q, k, v = (chunked(rows(part, order), self.size) for part in (q * q.shape[-1] ** -0.5, k, v))
        scores = q @ k.transpose(-2, -1)
        if self.absent is not None:
            hide(scores, self.absent)
        return rows((scores.softmax(-1) @ v).flatten(2, 3), order.argsort(-1))

    def reference(self, q: Tensor, k: Tensor, v: Tensor, x: Tensor) -> Tensor:
        """A token reads those of its chunk: as many come before it as by a lower cluster, or earlier of its own."""
        with torch.no_grad():
            mine = ((x[:, :, None] - self.centres) ** 2).sum(-1).argmin(-1)
            place = torch.arange(x.shape[1], device=x.device)
            before = (mine[:, None] < mine[:, :, None]) | (
                (mine[:, None] == mine[:, :, None]) & (place < place[:, None])
            )
            chunk = before.sum(-1) // self.size
        return softmax_attention(q, k, v, (chunk[:, None] == chunk[:, :, None])[:, None])

    @torch.no_grad()
    @selecting()
    def order(self, x: Tensor) -> Tensor:
        """The tokens by cluster, each cluster in the order of the sequence, `[b, n]`."""
        return self.nearest(x).sort(dim=-1, stable=True).indices

    def nearest(self, x: Tensor) -> Tensor:
        """The index of the centre that is closest to each hidden state."""
        return (x @ self.centres.T - self.centres.square().sum(-1) / 2).argmax(-1)

    @torch.no_grad()
    def learn(self, bank: Tensor) -> None:
        """Lloyd's iterations over a bank of hidden states `[m, D]`; an empty cluster keeps its centre."""
        for _ in range(self.iterations):
            mine = self.nearest(bank)
            total = torch.zeros_like(self.centres).index_add_(0, mine, bank)
            count = torch.bincount(mine, minlength=len(self.centres))[:, None]
            self.centres.copy_(torch.where(count > 0, total / count.clamp(min=1), self.centres))


class Projections(QKV):
    """Queries, keys, values, and, for the layers of clusters, the hidden states as they are."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec.shape)
        self.clusters = spec.layer % 2 == 1

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, ...]:
        made = super().forward(x, context)
        return (*made, x.detach()) if self.clusters else made


def _core(spec: Spec) -> nn.Module:
    return ClusterLayer(spec) if spec.layer % 2 else WindowLayer(spec)


def streams(spec: Spec) -> tuple[Tensor, ...]:
    """Random inputs of both cores, hidden states last."""
    return *random_streams(spec.shape), torch.randn(
        spec.shape.batch, spec.shape.n, spec.shape.dim, dtype=dtype_of(spec.shape)
    )


def flops_core(spec: Spec) -> int:
    """4 d a head for each pair of whole blocks of windows; or 4 w^2 d for each chunk of w, the last filled up."""
    shape, size = spec.shape, min(spec.number("window"), spec.shape.n)
    if spec.layer % 2 == 0:
        return 4 * shape.batch * shape.heads * shape.d * WindowPlan(spec).pairs
    return 4 * shape.batch * shape.heads * shape.d * -(-shape.n // size) * size**2


def flops_selection(spec: Spec) -> int:
    """2 n C D for the nearest of C centres, in the layers of clusters, whatever the heads."""
    shape = spec.shape
    return 2 * shape.batch * shape.n * spec.number("clusters") * shape.dim if spec.layer % 2 else 0


Core = _core
