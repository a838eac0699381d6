"""Log-linear attention on Mamba-2: a state for each of log n stretches of the past, weighed apart (Guo et al. 2025)."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attnprof import impl
from attnprof.contracts import Spec
from attnprof.errors import Unsupported
from attnprof.layers.attention import dtype_of
from attnprof.layers.chunk_scan import chunk_size, in_chunks, summed_logs, wide
from attnprof.layers.fenwick import across, across_rows, within
from attnprof.layers.recurrent import JoinedNorm, RecurrentLayer, Streams
from attnprof.layers.state_core import of_heads
from attnprof.layers.state_space import SpaceCore, SpaceProjections, space_streams


class Stretches(NamedTuple):
    """States of the stretches that n tokens are cut into, one for each bit of n that is set, the shortest first."""

    n: int
    states: tuple[Tensor, ...]


class Core(SpaceCore):
    """The streams of Mamba-2, and a weight for every level, `scales [batch, h, n, levels]`.

    Token i reads token j on level 0 if it is its own, else on the level that is the length of i xor j in bits.
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.levels = spec.number("levels")
        if spec.shape.n >= 1 << (self.levels - 1):
            raise Unsupported(
                f"{self.levels} levels hold less than {1 << (self.levels - 1):,} tokens, not {spec.shape.n:,}",
                hint=f"--set levels={spec.shape.n.bit_length() + 1}",
            )

    def forward(self, c: Tensor, b: Tensor, x: Tensor, step: Tensor, scales: Tensor) -> Tensor:  # type: ignore[override]
        q, k, v, g, s = in_chunks(self.chunk, c, b, x * step, wide(self.logs(step)), scales)
        near = within(q, k, v, g, s).flatten(2, 3)
        times = v.shape[1] // k.shape[1]
        q, k = (y.repeat_interleave(times, 1) if times > 1 else y for y in (q, k))
        return (near + across(q, k, v, g, s))[:, :, : c.shape[2]] + self.skipped(x)

    def reference(self, c: Tensor, b: Tensor, x: Tensor, step: Tensor, scales: Tensor) -> Tensor:  # type: ignore[override]
        """(Q K^T * D * Lambda) V, every pair written down."""
        repeat, n = x.shape[1] // b.shape[1], x.shape[2]
        c, b = (y.repeat_interleave(repeat, 1) for y in (c, b))
        total = (-self.a_log.exp()[:, None] * step.squeeze(-1)).cumsum(2)
        place = torch.arange(n, device=x.device)
        level = torch.frexp((place[:, None] ^ place).to(x.dtype))[1].long()
        faded = torch.where(place[:, None] >= place, total[..., :, None] - total[..., None, :], float("-inf")).exp()
        weights = (
            torch.einsum("bhid,bhjd->bhij", c, b) * faded * scales.gather(3, level.expand(*scales.shape[:2], -1, -1))
        )
        return torch.einsum("bhij,bhjd->bhid", weights, step * x) + self.skip[:, None, None] * x

    def state(self, n: int) -> Stretches:  # type: ignore[override]
        """What n tokens leave, of random content."""
        return Stretches(n, tuple(super(Core, self).state(n) for _ in range(n.bit_count())))

    def prefill(self, c: Tensor, b: Tensor, x: Tensor, step: Tensor, scales: Tensor) -> Stretches:  # type: ignore[override]
        """The state after these tokens: the longest stretch lies first."""
        n, k = c.shape[2], of_heads(wide(b), x)
        faded, v = k * summed_logs(wide(self.logs(step)))[1].exp(), wide(x * step)
        sizes = [1 << bit for bit in reversed(range(n.bit_length())) if n >> bit & 1]
        parts = zip(faded.split(sizes, 2), v.split(sizes, 2), strict=True) if sizes else ()
        return Stretches(n, tuple(reversed([key.mT @ value for key, value in parts])))

    def token(self, state: Any, *streams: Tensor) -> tuple[Tensor, Any]:
        c, b, x, step, scales = map(wide, streams)
        bits = [bit for bit in range(state.n.bit_length()) if state.n >> bit & 1]
        kept = self.logs(step).exp()
        own, q = of_heads(b, x).mT @ (x * step), of_heads(c, x)
        mixed = scales[..., :1] * (q @ own)
        faded = [kept * part for part in state.states]
        for bit, part in zip(bits, faded, strict=True):
            mixed = mixed + scales[..., bit + 1 : bit + 2] * (q @ part)
        joined = sum(bit == at for at, bit in enumerate(bits))  # lowest bits of n that are set: they carry
        for part in faded[:joined]:
            own = own + part
        return mixed + self.skipped(x), Stretches(state.n + 1, (own, *faded[joined:]))


class Projections(SpaceProjections):
    """Those of Mamba-2, and a weight for every head and level: softplus(L x W)."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.to_scales = nn.Linear(spec.shape.dim, spec.shape.heads * spec.number("levels"), bias=False)
        self.levels = nn.Parameter(torch.ones(spec.shape.heads, 1, spec.number("levels")))

    def forward(self, x: Tensor, kept: Tensor | None = None) -> tuple[Streams, Tensor]:
        streams, kept = super().forward(x, kept)
        raw = self.to_scales(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        return (*streams, F.softplus(self.levels * raw)), kept


class Layer(RecurrentLayer):
    """The block of Mamba-2 around it."""

    def __init__(self, spec: Spec) -> None:
        finish = JoinedNorm(spec.shape, F.silu, inside=True)
        super().__init__(spec.shape, Projections(spec), impl.core(spec), finish)


def streams(spec: Spec) -> tuple[Tensor, ...]:
    """Random inputs of the core."""
    shape = spec.shape
    size = (shape.batch, shape.heads, shape.n, spec.number("levels"))
    return *space_streams(spec), torch.rand(size, dtype=dtype_of(shape))


def flops_core(spec: Spec) -> int:
    """2 C N a row and group, 2 C P + 2 N P a row and head, 2 N P a row that reads an earlier block of a level.

    These are half of the rows on each of log2(n / C) levels, in whole blocks.
    """
    shape, state = spec.shape, spec.number("state")
    size = chunk_size(spec.number("chunk"), shape.n)
    rows = -(-shape.n // size) * size
    heads = shape.heads * shape.d_v * (rows * (2 * size + 2 * state) + 2 * state * across_rows(shape.n, size))
    return shape.batch * (spec.number("groups") * rows * 2 * size * state + heads)
