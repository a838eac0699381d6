"""Mamba-2: a state-space model with one decay a head and token, as masked attention by chunks (Dao and Gu 2024)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from attnprof import impl
from attnprof.contracts import Spec
from attnprof.layers.recurrence_definition import by_token
from attnprof.layers.recurrent import JoinedNorm, RecurrentLayer
from attnprof.layers.state_core import decay_flops
from attnprof.layers.state_space import SpaceCore, SpaceProjections, space_streams


class Core(SpaceCore):
    """`c, b [batch, groups, n, N]`, `x [batch, h, n, P]`, `step [batch, h, n, 1]` to `[batch, h, n, P]`."""

    def reference(self, c: Tensor, b: Tensor, x: Tensor, step: Tensor) -> Tensor:
        """The recurrence of section 2.1, discretised as in section 7."""
        rate, skip = (p[None, :, None, None] for p in (self.a_log.exp(), self.skip))
        return by_token(c, b, step * x, -rate * step) + skip * x


class Layer(RecurrentLayer):
    """The block of figure 6, with parallel projections: an RMS norm over all heads of y silu(x W_z)."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(
            spec.shape, SpaceProjections(spec), impl.core(spec), JoinedNorm(spec.shape, F.silu, inside=True)
        )


def streams(spec: Spec) -> tuple[Tensor, ...]:
    """Random inputs of the core."""
    return space_streams(spec)


def flops_core(spec: Spec) -> int:
    """2 Q N a row and group (C B^T), 2 Q P + 4 N P a row and head, rows in whole chunks of Q."""
    return decay_flops(spec.shape, spec.number("state"), spec.number("chunk"), key_heads=spec.number("groups"))


def flops_step(spec: Spec) -> int:
    """4 N P a head."""
    return spec.shape.batch * spec.shape.heads * 4 * spec.number("state") * spec.shape.d_v
