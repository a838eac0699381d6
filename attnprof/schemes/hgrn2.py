"""HGRN2: gated linear attention whose keys are what its gates forget (Qin et al. 2024, Gated Linear RNNs with State
Expansion).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attnprof import impl
from attnprof.contracts import Spec
from attnprof.layers.attention import random_streams, split_heads
from attnprof.layers.recurrence_definition import by_token
from attnprof.layers.recurrent import JoinedNorm, RecurrentLayer, StateProjections, Streams
from attnprof.layers.state_core import DecayCore, decay_flops


class Core(DecayCore):
    """`q, g [b, h, n, d]`, g log gates of channels, `v [b, h, n, d_v]`: the key is 1 - e^g."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec, spec.shape.d, 1.0)

    def forward(self, q: Tensor, g: Tensor, v: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(q, -torch.expm1(g).to(v.dtype), v, g)

    def reference(self, q: Tensor, g: Tensor, v: Tensor) -> Tensor:
        """H_t = diag(f_t) H_(t-1) + (1 - f_t) i_t^T, o_t = q_t H_t (Qin et al. 2024)."""
        return by_token(q, 1 - g.exp(), v, g)

    def prefill(self, q: Tensor, g: Tensor, v: Tensor) -> Tensor:  # type: ignore[override]
        """The state after these tokens."""
        return super().prefill(q, -torch.expm1(g), v, g)

    def token(self, state: Tensor, *streams: Tensor) -> tuple[Tensor, Tensor]:
        q, g, v = streams
        return super().token(state, q, -torch.expm1(g), v, g)


class Projections(StateProjections[None]):
    """q through SiLU, v, and log f, f = lower + (1 - lower) sigmoid(x W_f)."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        shape, keys = spec.shape, spec.shape.heads * spec.shape.d
        lower = spec.params["lower_bound"]
        assert isinstance(lower, (int, float))
        self.heads, self.lower = shape.heads, lower
        self.to_q, self.to_f = (nn.Linear(shape.dim, keys, bias=False) for _ in range(2))
        self.to_v = nn.Linear(shape.dim, shape.heads * shape.d_v, bias=False)

    def forward(self, x: Tensor, kept: None = None) -> tuple[Streams, None]:
        g = F.logsigmoid(self.to_f(x))
        if self.lower:
            g = torch.logaddexp(g.new_tensor(math.log(self.lower)), math.log1p(-self.lower) + g)
        return tuple(split_heads(y, self.heads) for y in (F.silu(self.to_q(x)), g, self.to_v(x))), None


class Layer(RecurrentLayer):
    """An RMS norm over all heads; q is the output gate."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec.shape, Projections(spec), impl.core(spec), JoinedNorm(spec.shape, None))


def streams(spec: Spec) -> tuple[Tensor, ...]:
    """Random inputs of the core."""
    q, g, v = random_streams(spec.shape)
    return q, F.logsigmoid(g + 2), v


def flops_core(spec: Spec) -> int:
    """(C - 1) d + 2 C d_v + 4 d d_v a row and head, rows in whole chunks of C."""
    return decay_flops(spec.shape, spec.shape.d, spec.number("chunk"), channels=True)


def flops_step(spec: Spec) -> int:
    """4 d d_v a head."""
    return spec.shape.batch * spec.shape.heads * 4 * spec.shape.d * spec.shape.d_v
