"""A whole layer around a linear recurrence: short convolutions that remember, the core, a norm, a gate."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attnprof.layers.attention import Attention, decoder, merge_heads, split_heads
from attnprof.shapes import Shape

Streams = tuple[Tensor, ...]
K = TypeVar("K")
EPSILON = 1e-5  # of norms
LEAST = 1e-6  # of squared lengths


class StateProjections(nn.Module, Generic[K]):
    """Makes the streams of a core of `x [b, n, D]`, and goes on from what it kept of the tokens before.

    `kept` is what a subclass's `forward` returns beside the streams, `None` before the first token.
    """

    def forward(self, x: Tensor, kept: K | None = None) -> tuple[Streams, K]:
        raise NotImplementedError


class ShortConv(nn.Module):
    """A causal convolution of each channel over `width` tokens, then SiLU: `[b, n, c]` to its shape."""

    def __init__(self, channels: int, width: int, act: Callable[[Tensor], Tensor] = F.silu) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, 1, width).uniform_(-(width**-0.5), width**-0.5))
        self.act = act

    def forward(self, x: Tensor, tail: Tensor | None) -> tuple[Tensor, Tensor]:
        """The result, and the tail: the last `width - 1` tokens, zeros before the first."""
        before = self.weight.shape[-1] - 1
        x = F.pad(x, (0, 0, before, 0)) if tail is None else torch.cat([tail, x], 1)
        mixed = self._mixed(x) if x.shape[1] > before else x[:, :0]
        return self.act(mixed), x[:, x.shape[1] - before :].clone()

    def _mixed(self, x: Tensor) -> Tensor:
        """As an image of one row whose channels stand last, as they do in memory: nothing is copied."""
        return F.conv2d(x.mT.unsqueeze(2), self.weight.unsqueeze(2), groups=len(self.weight)).squeeze(2).mT


class RecurrentLayer(Attention):
    """Streams, core, `finish(mixed [b, h, n, d_v], x, *streams)`, output projection: `x [b, n, D]` to its shape.

    The last `beside` of the streams are for `finish` alone.
    """

    beside = 0

    def __init__(self, shape: Shape, project: nn.Module, core: nn.Module, finish: nn.Module) -> None:
        super().__init__(shape, project, core)
        self.shape, self.finish = shape, finish

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        streams, _ = self.project(x)
        return self._finished(self.core(*self._own(streams)), x, streams)

    def state(self, n: int) -> tuple[object, object]:
        """The core's state after n tokens, and what the projections keep of them, of random content."""
        dtype = self.out.weight.dtype
        x = torch.randn(self.shape.batch, 1, self.shape.dim, dtype=dtype)
        return decoder(self.core).state(n), self.project(x)[1]

    def prefill(self, x: Tensor) -> tuple[object, object]:
        """The state after the tokens `x [b, n, D]`."""
        streams, kept = self.project(x)
        return decoder(self.core).prefill(*self._own(streams)), kept

    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """The tokens `x [b, q, D]` more, one or several: their outputs, and the next state."""
        streams, kept = self.project(x, state[1])
        mixed, of_core = decoder(self.core).step(*self._own(streams), state[0])
        return self._finished(mixed, x, streams), (of_core, kept)

    def _own(self, streams: Streams) -> Streams:
        return streams[: len(streams) - self.beside]

    def _finished(self, mixed: Tensor, x: Tensor, streams: Streams) -> Tensor:
        return self.out(merge_heads(self.finish(mixed, x, *streams)))


class GatedNorm(nn.Module):
    """An RMS norm of every head, times an activated gate of x: `mixed [b, h, n, d_v]`, `x [b, n, D]`.

    `rank`: the gate through so many numbers; `None` for no gate, 0 for a whole matrix. `norm`: another norm.
    """

    def __init__(
        self,
        shape: Shape,
        act: Callable[[Tensor], Tensor] = F.silu,
        rank: int | None = 0,
        norm: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.heads, self.act = shape.heads, act
        self.norm = nn.RMSNorm(shape.d_v, EPSILON) if norm is None else norm
        width = shape.heads * shape.d_v
        self.gate = None if rank is None else low_rank(shape.dim, width, rank)

    def forward(self, mixed: Tensor, x: Tensor, *streams: Tensor) -> Tensor:
        mixed = self.norm(mixed)
        if self.gate is None:
            return mixed
        return mixed * self.act(self.gate(x)).unflatten(-1, (self.heads, -1)).transpose(1, 2)


class JoinedNorm(nn.Module):
    """An RMS norm over all heads at once, of `mixed` times the gate (`inside`), or then times the gate.

    `act` is the gate's; `None` for no gate.
    """

    def __init__(self, shape: Shape, act: Callable[[Tensor], Tensor] | None, inside: bool = False) -> None:
        super().__init__()
        self.heads, self.act, self.inside, width = shape.heads, act, inside, shape.heads * shape.d_v
        self.norm = nn.RMSNorm(width, EPSILON)
        self.gate = nn.Linear(shape.dim, width, bias=False) if act else None

    def forward(self, mixed: Tensor, x: Tensor, *streams: Tensor) -> Tensor:
        joined = merge_heads(mixed)
        if self.act is None or self.gate is None:
            return split_heads(self.norm(joined), self.heads)
        gate = self.act(self.gate(x))
        joined = self.norm(joined * gate) if self.inside else self.norm(joined) * gate
        return split_heads(joined, self.heads)


def low_rank(width: int, to: int, rank: int, bias: bool = False) -> nn.Module:
    """A linear map through `rank` numbers, or whole where that is 0."""
    if not rank:
        return nn.Linear(width, to, bias=bias)
    return nn.Sequential(nn.Linear(width, rank, bias=False), nn.Linear(rank, to, bias=bias))


def unit(x: Tensor) -> Tensor:
    """Rows of length 1, but for those near 0."""
    return x * (x.square().sum(-1, keepdim=True) + LEAST).rsqrt()


class Gate(nn.Module):
    """Log gates -exp(A) softplus(raw + bias) of each head as at the start of training (Dao and Gu 2024): A, dt, `raw`.

    exp(A) is uniform in [1, 16], softplus(bias) log-uniform in [0.001, 0.1].
    """

    def __init__(self, heads: int, channels: int = 0) -> None:
        super().__init__()
        self.a_log = nn.Parameter(torch.empty(heads).uniform_(1, 16).log())
        step = torch.empty(channels or heads).uniform_(math.log(0.001), math.log(0.1)).exp()
        self.bias = nn.Parameter(step + torch.log(-torch.expm1(-step)))

    def forward(self, raw: Tensor) -> Tensor:
        """`raw [b, n, h c]` to `[b, h, n, c]`, in float32 at least."""
        wide = torch.promote_types(raw.dtype, torch.float32)
        step = F.softplus(raw.to(wide) + self.bias.to(wide)).unflatten(-1, (len(self.a_log), -1)).transpose(1, 2)
        return -self.a_log.to(wide).exp()[:, None, None] * step
