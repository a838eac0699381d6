"""A layer of explicit attention without biases, whose FLOPs are known by hand.

b = 2, n = 24, D = 18, h = 3. By hand, a multiply-add being 2: q k^T and p v are `HALF` = 2 b n n D each, so the core's
forward is `CORE` = 2 HALF; qkv and out are 3 and 1 `LINEAR` = 2 b n D D, so the projections are `REST` = 4 LINEAR. Each
product has two gradients of its own size.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from attnprof.counting import count
from attnprof.shapes import Shape
from attnprof.words import Pass
from tests.unit.counting.modules import ModuleTarget

B, N, D, H = 2, 24, 18, 3
HALF = 2 * B * N * N * D
CORE = 2 * HALF
LINEAR = 2 * B * N * D * D
REST = 4 * LINEAR


def mix(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(-1) @ v


def heads(x: Tensor) -> Tensor:
    return x.unflatten(-1, (-1, H, D // H)).permute(2, 0, 3, 1, 4)


class Layer(nn.Module):
    """Explicit attention; `again` is how its forward is run, so that it can be run again."""

    def __init__(self, again: Callable[..., Tensor] | None = None) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(D, 3 * D, bias=False), nn.Linear(D, D, bias=False)
        self.again = again or (lambda layer, x: layer(x))

    def whole(self, x: Tensor) -> Tensor:
        return self.out(mix(*heads(self.qkv(x))).transpose(1, 2).flatten(2))

    def forward(self, x: Tensor) -> Tensor:
        return self.again(self.whole, x)


def counted(make: Callable[[], nn.Module], pass_: Pass = Pass.TRAIN) -> tuple[int | None, int | None]:
    cost = count(ModuleTarget(make, lambda: (torch.randn(B, N, D),)), Shape(N, batch=B, dim=D, heads=H), pass_).cost
    return cost.flops_core_executed, cost.flops_executed


def reentrant(run: Callable[..., Tensor], *x: Tensor) -> Tensor:
    return checkpoint(run, *x, use_reentrant=True)


class Checked(nn.Module):
    """Another module under a checkpoint."""

    def __init__(self, inner: nn.Module, again: Callable[..., Tensor] = reentrant) -> None:
        super().__init__()
        self.inner, self.again = inner, again

    def forward(self, *x: Tensor) -> Tensor:
        return self.again(self.inner, *x)


DERIVED: dict[str, Callable[[Tensor], Tensor]] = {
    "as it is": lambda w: w,
    "masked": lambda w: w * torch.ones_like(w).tril(),
    "normalised": lambda w: w / w.norm(dim=-1, keepdim=True),
    "cast": lambda w: w.double().float(),
    "transposed copy": lambda w: w.t().contiguous().t(),
    "put together": lambda w: torch.cat([row[None] for row in w.unbind(0)]),
}
