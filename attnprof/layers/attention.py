"""Multi-head attention around any core (Vaswani et al. 2017, section 3.2.2)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from attnprof.contracts import Continues
from attnprof.errors import Unsupported
from attnprof.shapes import Shape


def split_heads(x: Tensor, heads: int) -> Tensor:
    """`[b, n, h * d]` as `[b, h, n, d]`, without a copy."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def merge_heads(x: Tensor) -> Tensor:
    """`[b, h, n, d]` as `[b, n, h * d]`."""
    return x.transpose(1, 2).flatten(2)


class QKV(nn.Module):
    """Queries from `x [b, n, D]`, keys and values from `context [b, m, D]` (x itself if None), without bias.

    Returns `q [b, h, n, d]`, `k [b, g, m, d]` and `v [b, g, m, d_v]`.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads, self.groups = shape.heads, shape.groups
        self.to_q = nn.Linear(shape.dim, shape.heads * shape.d, bias=False)
        self.to_k = nn.Linear(shape.dim, shape.groups * shape.d, bias=False)
        self.to_v = nn.Linear(shape.dim, shape.groups * shape.d_v, bias=False)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, ...]:
        source = x if context is None else context
        q = split_heads(self.to_q(x), self.heads)
        return q, split_heads(self.to_k(source), self.groups), split_heads(self.to_v(source), self.groups)


class Attention(nn.Module):
    """Projections, a scheme's core, and the output projection: `x [b, n, D]` to `[b, n, D]`.

    `state` and `step` decode one token at a time, where the core can (`core.state`, `core.step`).
    """

    def __init__(self, shape: Shape, project: nn.Module, core: nn.Module) -> None:
        super().__init__()
        self.made_for = shape.n
        self.project = project
        self.core = core
        self.out = nn.Linear(shape.heads * shape.d_v, shape.dim, bias=False)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        streams = self.project(x) if context is None else self.project(x, context)
        return self.out(merge_heads(self.core(*streams)))

    def state(self, n: int) -> Any:
        """What decoding keeps of a sequence after n tokens, of random content: tensors of the right sizes."""
        return decoder(self.core).state(n)

    def prefill(self, x: Tensor) -> Any:
        """The state after the tokens `x [b, n, D]`."""
        return decoder(self.core).prefill(*self.project(x))

    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """One more token `x [b, 1, D]`: its output, equal to the last row of the full forward, and the next state."""
        mixed, state = decoder(self.core).step(*self.project(x), state)
        return self.out(merge_heads(mixed)), state


def decoder(core: nn.Module) -> Continues:
    """The core, if it can decode token by token; else `Unsupported`."""
    if not isinstance(core, Continues):
        name = type(core).__module__.rsplit(".", 1)[-1]
        raise Unsupported(
            f"no step token by token is written for {name}", hint="`attnprof list --decode` names what has one"
        )
    return core


def random_streams(shape: Shape) -> tuple[Tensor, Tensor, Tensor]:
    """Random `q [b, h, n, d]`, `k [b, g, m, d]` and `v [b, g, m, d_v]`: the inputs of a core on its own."""
    q = torch.randn(shape.batch, shape.heads, shape.n, shape.d, dtype=dtype_of(shape))
    k = torch.randn(shape.batch, shape.groups, shape.keys, shape.d, dtype=dtype_of(shape))
    return q, k, torch.randn(shape.batch, shape.groups, shape.keys, shape.d_v, dtype=dtype_of(shape))


def dtype_of(shape: Shape) -> torch.dtype:
    """The torch dtype that a shape names."""
    return getattr(torch, shape.dtype)
