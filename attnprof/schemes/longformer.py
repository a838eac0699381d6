"""Longformer: a window with global keys under one softmax, and global queries with projections of their own.

Beltagy et al. 2020, section 3.1: local queries use Q, K, V; a global query reads every token through Q_g, K_g, V_g.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from attnprof.layers.attention import QKV, random_streams
from attnprof.layers.softmax import softmax_attention
from attnprof.pattern import Band, Expr, Global, Pattern, Union
from attnprof.runners.gather import GatherCore
from attnprof.runners.gather import flops_core as gathered_flops
from attnprof.runners.masked import MaskedCore, pattern_mask
from attnprof.scheme import Spec
from attnprof.words import Runner


class Core(nn.Module):
    """Streams `q, k, v [b, h, n, d]` and, with global tokens, `q_g [b, h, global, d]`, `k_g, v_g [b, h, n, d]`."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.hubs = hubs(spec)
        self.local = spec
        runner = MaskedCore if spec.runner is Runner.MASKED else GatherCore
        self.near = runner(local(spec))

    def forward(self, q: Tensor, k: Tensor, v: Tensor, *hub: Tensor) -> Tensor:
        near = self.near(q, k, v)
        if not hub:
            return near
        return torch.cat([softmax_attention(*hub), near[:, :, self.hubs :]], 2)

    def reference(self, q: Tensor, k: Tensor, v: Tensor, *hub: Tensor) -> Tensor:
        """Local rows by one masked softmax, global rows by another over all tokens."""
        mask = pattern_mask(self.local)[0].to(q.device)
        near = softmax_attention(q, k, v, mask)
        return near if not hub else torch.cat([softmax_attention(*hub), near[:, :, self.hubs :]], 2)


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
    return Spec(spec.shape, spec.params, near, spec.runner, spec.layer)


def streams(spec: Spec) -> tuple[Tensor, ...]:
    """Random inputs of the core."""
    near = random_streams(spec.shape)
    if not hubs(spec):
        return near
    return (*near, torch.randn_like(near[0][:, :, : hubs(spec)]), torch.randn_like(near[1]), torch.randn_like(near[2]))


def flops_core(spec: Spec) -> int:
    """The tiles of the window and the global columns, plus 4 g n d a head for the global rows."""
    shape = spec.shape
    far = 4 * shape.batch * shape.heads * hubs(spec) * shape.n * shape.head_dim
    if spec.runner is Runner.MASKED:
        return far + 4 * shape.batch * shape.heads * shape.n * shape.n * shape.head_dim
    return far + gathered_flops(local(spec))
