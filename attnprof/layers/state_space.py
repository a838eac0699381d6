"""What state-space models share: a decay a head and token, steps, a skip, and the projections before them."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attnprof.contracts import Spec
from attnprof.errors import Unsupported
from attnprof.layers.attention import dtype_of, split_heads
from attnprof.layers.recurrent import ShortConv, StateProjections, Streams
from attnprof.layers.state_core import DecayCore


class SpaceCore(DecayCore):
    """h_t = e^(-A dt) h_(t-1) + b_t (dt x_t)^T, y_t = c_t h_t + D x_t; A and D are a number a head.

    `c, b [batch, groups, n, N]`, `x [batch, h, n, P]`, dt: `step [batch, h, n, 1]`.
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec, spec.number("state"), 1.0)
        heads = spec.shape.heads
        if heads % spec.number("groups"):
            raise Unsupported(f"{spec.number('groups')} groups do not divide {heads} heads", hint="--set groups=1")
        self.a_log = nn.Parameter(torch.empty(heads).uniform_(1, 16).log())
        self.skip = nn.Parameter(torch.ones(heads))

    def forward(self, c: Tensor, b: Tensor, x: Tensor, step: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(c, b, x * step, self.logs(step)) + self.skipped(x)

    def prefill(self, c: Tensor, b: Tensor, x: Tensor, step: Tensor) -> Tensor:  # type: ignore[override]
        """The state after these tokens."""
        return super().prefill(c, b, x * step, self.logs(step))

    def token(self, state: Tensor, *streams: Tensor) -> tuple[Tensor, Tensor]:
        c, b, x, step = streams
        mixed, state = super().token(state, c, b, x * step, self.logs(step))
        return mixed + self.skipped(x), state

    def logs(self, step: Tensor) -> Tensor:
        """Log gates, in float32 at least."""
        wide = torch.promote_types(step.dtype, torch.float32)
        return -self.a_log.to(wide).exp()[:, None, None] * step

    def skipped(self, x: Tensor) -> Tensor:
        """What the input adds to the output by itself."""
        return self.skip[:, None, None] * x


class SpaceProjections(StateProjections[Tensor]):
    """x, b, c through a short convolution and SiLU, and steps dt = softplus(raw + bias)."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        shape, self.groups, state = spec.shape, spec.number("groups"), spec.number("state")
        self.sizes = [shape.heads * shape.d_v, self.groups * state, self.groups * state]
        self.heads = shape.heads
        self.to_xbc = nn.Linear(shape.dim, sum(self.sizes), bias=False)
        self.to_step = nn.Linear(shape.dim, shape.heads)
        self.conv = ShortConv(sum(self.sizes), spec.number("conv"))
        steps = torch.empty(shape.heads).uniform_(math.log(0.001), math.log(0.1)).exp()
        self.to_step.bias = nn.Parameter(steps + torch.log(-torch.expm1(-steps)))

    def forward(self, x: Tensor, kept: Tensor | None = None) -> tuple[Streams, Tensor]:
        mixed, tail = self.conv(self.to_xbc(x), kept)
        values, b, c = mixed.split(self.sizes, -1)
        step = F.softplus(self.to_step(x)).mT.unsqueeze(-1)
        return (split_heads(c, self.groups), split_heads(b, self.groups), split_heads(values, self.heads), step), tail


def space_streams(spec: Spec) -> tuple[Tensor, ...]:
    """Random inputs of the core."""
    shape, dtype = spec.shape, dtype_of(spec.shape)
    c, b = (torch.randn(shape.batch, spec.number("groups"), shape.n, spec.number("state"), dtype=dtype) for _ in "cb")
    x = torch.randn(shape.batch, shape.heads, shape.n, shape.d_v, dtype=dtype)
    return c, b, x, F.softplus(torch.randn(shape.batch, shape.heads, shape.n, 1, dtype=dtype) - 1)
