"""YOSO in expectation: weights are chances to collide under a hash of signs (Zeng et al. 2021)."""

from __future__ import annotations

import math
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attnprof.contracts import Spec
from attnprof.layers.function_context import FunctionContext


class _CollisionsContext(FunctionContext, Protocol):
    bits: int


class Collisions(torch.autograd.Function):
    """(1 - arccos(s) / pi)^bits of cosines `s`; its derivative is taken to be bits / 2 times itself, as published."""

    @staticmethod
    def forward(ctx: _CollisionsContext, s: Tensor, bits: int) -> Tensor:
        ctx.bits = bits
        chance = s.clamp(-1, 1).acos_().mul_(-1 / math.pi).add_(1).pow_(bits)
        ctx.save_for_backward(chance)
        return chance

    @staticmethod
    def backward(ctx: _CollisionsContext, *grads: Tensor) -> tuple[Tensor, None]:
        (chance,) = ctx.saved_tensors
        return grads[0] * chance * (ctx.bits / 2), None


class Core(nn.Module):
    """`q, k, v [b, h, n, d]` to outputs of unit length `[b, h, n, d]`."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.bits = spec.number("bits")

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        cosines = F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).transpose(-2, -1)
        return F.normalize(Collisions.apply(cosines, self.bits) @ v, dim=-1)

    def reference(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """The same, written out; the gradient goes by a line of the slope that backward takes."""
        q, k = (x / x.norm(dim=-1, keepdim=True) for x in (q, k))
        s = torch.einsum("bhid,bhjd->bhij", q, k)
        chance = (1 - torch.acos(s.detach().clamp(-1, 1)) / math.pi) ** self.bits
        weights = chance * (1 + self.bits / 2 * (s - s.detach()))
        mixed = torch.einsum("bhij,bhjd->bhid", weights, v)
        return mixed / mixed.norm(dim=-1, keepdim=True)


def flops_core(spec: Spec) -> int:
    """4 n^2 d a head."""
    shape = spec.shape
    return 4 * shape.batch * shape.heads * shape.n**2 * shape.d
