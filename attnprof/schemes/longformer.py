"""Longformer: a window with global keys under one softmax, and global queries with projections of their own.

Beltagy et al. 2020, section 3.1: local queries use Q, K, V; a global query reads every token through Q_g, K_g, V_g.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from attnprof.contracts import Spec, Written
from attnprof.layers.attention import QKV, random_streams
from attnprof.layers.band_decoding import BandDecoding
from attnprof.layers.gathered import GatherCore
from attnprof.layers.gathered import flops_core as gathered_flops
from attnprof.layers.masked_softmax import MaskedCore
from attnprof.layers.softmax import softmax_attention, unfold
from attnprof.pattern import Band, Expr, Global, Pattern, Union
from attnprof.units import Value


class Core(BandDecoding, nn.Module):
    """Streams `q, k, v [b, h, n, d]` and, with global tokens, `q_g [b, h, global, d]`, `k_g, v_g [b, h, n, d]`."""

    def __init__(self, spec: Spec, near: Callable[[Spec], nn.Module]) -> None:
        super().__init__()
        self.spec, self.hubs = local(spec), hubs(spec)
        self.near = near(self.spec)

    def forward(self, q: Tensor, k: Tensor, v: Tensor, *hub: Tensor) -> Tensor:
        near = self.near(q, k, v)
        if not hub:
            return near
        return torch.cat([everywhere(*hub), near[:, :, self.hubs :]], 2)

    def reference(self, q: Tensor, k: Tensor, v: Tensor, *hub: Tensor) -> Tensor:
        """Local rows by one masked softmax, head by head, global rows by another over all tokens."""
        place, heads, causal = torch.arange(q.shape[2], device=q.device), q.shape[1], self.spec.shape.causal
        lag, seen = place[:, None] - place, []
        for head in range(heads):
            size, step = (one_of(self.spec.params[name], head, heads) for name in ("window", "dilation"))
            near = (lag >= 0) & (lag <= max(size - 1, 0) * step) if causal else lag.abs() <= size // 2 * step
            seen.append(near & (lag % step == 0) | (place < self.hubs))
        local = softmax_attention(q, k, v, torch.stack(seen))
        return torch.cat([softmax_attention(*hub), local[:, :, self.hubs :]], 2) if hub else local


class Projections(nn.Module):
    """Q, K, V of every token and, for the global ones, Q_g of their rows and K_g, V_g of every token."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.hubs = hubs(spec)
        self.near = QKV(spec.shape)
        self.far = QKV(spec.shape) if self.hubs else None

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        if self.far is None:
            return self.near(x)
        return (*self.near(x), *self.far(x[:, : self.hubs], x))


def everywhere(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Global queries `q [b, h, global, d]` over every token; of queries and keys they are the fewer, and scaled."""
    rows, heads = q.shape[2], q.shape[1] // k.shape[1]
    folded = (q * q.shape[-1] ** -0.5).unflatten(1, (-1, heads)).flatten(2, 3)
    return unfold((folded @ k.transpose(-2, -1)).softmax(-1) @ v, heads, rows)


def one_of(value: Value, head: int, heads: int) -> int:
    """A head's own entry of a list "a,b" that has one for each equal share of the heads; a number is for all."""
    shares = str(value).split(",")
    return int(shares[head * len(shares) // heads])


def hubs(spec: Spec) -> int:
    """Global tokens: the first ones; none in the causal form."""
    return 0 if spec.shape.causal else min(spec.number("global_tokens"), spec.shape.n)


def local(spec: Spec) -> Spec:
    """The spec of the local rows: the window and the global columns, without the global rows."""
    assert spec.pattern is not None
    whole = spec.pattern

    def draw(layer: int, head: int) -> Expr:
        expr = whole.expr(layer, head)
        if not isinstance(expr, Union):
            return expr
        band = next(part for part in expr.parts if isinstance(part, Band))
        return band | Global(hubs(spec), rows=False)

    near = Pattern(whole.name, whole.n, whole.causal, draw, whole.layers, whole.heads)
    return replace(spec, pattern=near)


def streams(spec: Spec) -> tuple[Tensor, ...]:
    """Random inputs of the core."""
    near = random_streams(spec.shape)
    if not hubs(spec):
        return near
    return (*near, torch.randn_like(near[0][:, :, : hubs(spec)]), torch.randn_like(near[1]), torch.randn_like(near[2]))


def tiled(spec: Spec) -> int:
    """The tiles of the window and the global columns, and the global rows."""
    return far(spec) + gathered_flops(local(spec))


def whole(spec: Spec) -> int:
    """4 n^2 d a head under the mask, and the global rows."""
    shape = spec.shape
    return far(spec) + 4 * shape.batch * shape.heads * shape.n * shape.n * shape.d


def far(spec: Spec) -> int:
    """4 g n d a head for the global rows."""
    shape = spec.shape
    return 4 * shape.batch * shape.heads * hubs(spec) * shape.n * shape.d


WRITTEN = {
    "gather": Written(lambda spec: Core(spec, GatherCore), tiled),
    "masked": Written(lambda spec: Core(spec, MaskedCore), whole),
}
