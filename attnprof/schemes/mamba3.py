"""Mamba-3: a state-space model by the trapezoidal rule, its keys and queries turned by the data (Lahoti et al. 2026).

One input and one output a head (SISO).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attnprof import impl
from attnprof.contracts import Spec
from attnprof.layers.attention import dtype_of, split_heads
from attnprof.layers.chunk_scan import decayed, in_chunks, summed_logs, wide
from attnprof.layers.recurrent import EPSILON, GatedNorm, RecurrentLayer, StateProjections, Streams
from attnprof.layers.rotation import turned
from attnprof.layers.state_core import StateCore, decay_flops

LEAST_RATE = 1e-4


class TrapezoidState(NamedTuple):
    """What all tokens but the last left, and the last: its key, value and weight, which the next one completes."""

    state: Tensor
    b: Tensor
    x: Tensor
    now: Tensor


class Core(StateCore):
    """h_t = e^g_t (h_(t-1) + late_t b_(t-1) x_(t-1)^T) + now_t b_t x_t^T, y_t = c_t h_t + D x_t.

    `c, b [batch, h, n, N]`, `x [batch, h, n, P]`; log gates g, `now` (lambda dt) and `late` ((1 - lambda) dt)
    `[batch, h, n, 1]`.
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec, spec.number("state"), 1.0)
        self.skip = nn.Parameter(torch.ones(spec.shape.heads))

    def forward(self, c: Tensor, b: Tensor, x: Tensor, g: Tensor, now: Tensor, late: Tensor) -> Tensor:
        own = (c * b).sum(-1, keepdim=True) * now
        weighed = b * (now + F.pad(late[:, :, 1:], (0, 0, 0, 1)))
        q, k, v, logs, own = in_chunks(self.chunk, c, weighed, x, wide(g), own)
        return decayed(q, k, v, logs, own.squeeze(-1)).flatten(2, 3)[:, :, : c.shape[2]] + self.skipped(x)

    def reference(self, c: Tensor, b: Tensor, x: Tensor, g: Tensor, now: Tensor, late: Tensor) -> Tensor:
        """The two ends of every step (equation 5): token by token, with the key and value of the token before."""
        state = before = torch.zeros_like(b[:, :, 0, :, None] * x[:, :, 0, None, :])
        rows = zip(*(y.unbind(2) for y in (c, b, x, g.exp(), now, late)), strict=True)
        out = []
        for c_t, b_t, x_t, kept, now_t, late_t in rows:
            written = torch.einsum("bhi,bhj->bhij", b_t, x_t)
            state = kept[..., None] * (state + late_t[..., None] * before) + now_t[..., None] * written
            out.append(torch.einsum("bhi,bhij->bhj", c_t, state) + self.skip[:, None] * x_t)
            before = written
        return torch.stack(out, 2)

    def state(self, n: int) -> TrapezoidState:  # type: ignore[override]
        """What n tokens leave, of random content."""
        whole = super().state(n)
        return TrapezoidState(whole, whole[..., :1].mT, whole[:, :, :1], whole[:, :, :1, :1])

    def prefill(self, c: Tensor, b: Tensor, x: Tensor, g: Tensor, now: Tensor, late: Tensor) -> TrapezoidState:
        """The state after these tokens."""
        b, x, g, now, late = map(wide, (b, x, g, now, late))
        _, until = summed_logs(g)
        weight = (now[:, :, :-1] + late[:, :, 1:]) * until[:, :, :-1].exp()
        last = (F.pad(y, (0, 0, 1, 0))[:, :, -1:] for y in (b, x, now))
        return TrapezoidState((b[:, :, :-1] * weight).mT @ x[:, :, :-1], *last)

    def token(self, state: Any, *streams: Tensor) -> tuple[Tensor, Any]:
        c, b, x, g, now, late = map(wide, streams)
        weight = state.now + late
        whole = g.exp().mT * (state.state + (state.b * weight).mT @ state.x)
        mixed = c @ whole + (c * b).sum(-1, keepdim=True) * now * x
        return mixed + self.skipped(x), TrapezoidState(whole, b, x, now)

    def skipped(self, x: Tensor) -> Tensor:
        """What the input adds to the output by itself."""
        return self.skip[:, None, None] * x


class Projections(StateProjections[Tensor]):
    """Keys and queries of a group, normed, with a bias a head, turned by the angles summed so far; steps and gates."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        shape, state = spec.shape, spec.number("state")
        self.heads, self.turning = shape.heads, state // 4  # pairs of half of the channels
        self.to_x = nn.Linear(shape.dim, shape.heads * shape.d_v, bias=False)
        self.to_b, self.to_c = (nn.Linear(shape.dim, state, bias=False) for _ in "bc")
        self.to_step = nn.Linear(shape.dim, shape.heads)
        self.to_rate, self.to_share = (nn.Linear(shape.dim, shape.heads, bias=False) for _ in range(2))
        self.to_angles = nn.Linear(shape.dim, self.turning, bias=False)
        self.norm_b, self.norm_c = (nn.RMSNorm(state, EPSILON) for _ in "bc")
        self.bias_b, self.bias_c = (nn.Parameter(torch.ones(shape.heads, 1, state)) for _ in "bc")
        steps = torch.empty(shape.heads).uniform_(math.log(0.001), math.log(0.1)).exp()
        self.to_step.bias = nn.Parameter(steps + torch.log(-torch.expm1(-steps)))

    def forward(self, x: Tensor, kept: Tensor | None = None) -> tuple[Streams, Tensor]:
        rates = (to(x).mT.unsqueeze(-1) for to in (self.to_step, self.to_rate, self.to_share))
        step, rate, share = (f(y) for f, y in zip((F.softplus, F.softplus, torch.sigmoid), rates, strict=True))
        turned_by = wide(math.pi * self.to_angles(x).tanh().unsqueeze(1) * step).cumsum(2)
        angles = turned_by if kept is None else kept + turned_by
        b, c = (
            self.norm_b(self.to_b(x)).unsqueeze(1) + self.bias_b,
            self.norm_c(self.to_c(x)).unsqueeze(1) + self.bias_c,
        )
        g = -rate.clamp(min=LEAST_RATE) * step
        last = F.pad(angles, (0, 0, 1, 0))[:, :, -1:].remainder(2 * math.pi) if x.shape[1] else kept
        if last is None:
            last = angles.new_zeros(*angles.shape[:2], 1, self.turning)
        streams = turned(c, angles), turned(b, angles), split_heads(self.to_x(x), self.heads)
        return (*streams, g, share * step, (1 - share) * step), last


class Layer(RecurrentLayer):
    """The core times SiLU(x W_z), without a norm."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec.shape, Projections(spec), impl.core(spec), GatedNorm(spec.shape, norm=nn.Identity()))


def streams(spec: Spec) -> tuple[Tensor, ...]:
    """Random inputs of the core."""
    shape, dtype = spec.shape, dtype_of(spec.shape)
    size = (shape.batch, shape.heads, shape.n)
    c, b = (torch.randn(*size, spec.number("state"), dtype=dtype) for _ in "cb")
    step, share = F.softplus(torch.randn(*size, 1, dtype=dtype) - 3), torch.rand(*size, 1, dtype=dtype)
    return c, b, torch.randn(*size, shape.d_v, dtype=dtype), -step, share * step, (1 - share) * step


def flops_core(spec: Spec) -> int:
    """2 C (N + P) + 4 N P a row and head, rows in whole chunks of C."""
    return decay_flops(spec.shape, spec.number("state"), spec.number("chunk"))


def flops_step(spec: Spec) -> int:
    """4 N P a head: the token before is completed and written, the token reads."""
    return spec.shape.batch * spec.shape.heads * 4 * spec.number("state") * spec.shape.d_v
