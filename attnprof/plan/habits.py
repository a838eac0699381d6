"""What a counter does with modules of one product: its habits, seen on cases whose FLOPs are known by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import torch
import torch.nn.functional as F
from torch import Tensor, nn

B, N, D, H = 1, 4, 8, 2
LINEAR = 2 * N * D * 2 * D  # [4, 8] @ [8, 16]
GRAM = 2 * N * N * D
ATTENTION = 2 * GRAM

Read = Callable[[nn.Module, tuple[Tensor, ...]], int]


@dataclass(frozen=True, slots=True)
class Traits:
    """A counter's figures on the probes as shares of the right ones; None where it crashes there.

    `linear` of a linear layer, `functional` of the same product outside a module, `between` of a product of
    activations, `fused` of fused attention, `causal` of causal fused attention as a share of the whole square,
    `multihead` of the projections of `nn.MultiheadAttention`. `once`: whether a linear layer costs the same for every
    number of tokens. `softmax`, `scaled`: its figures for a softmax and a scaling of 32 elements.
    """

    linear: Fraction | None = None
    functional: Fraction | None = None
    between: Fraction | None = None
    fused: Fraction | None = None
    causal: Fraction | None = None
    multihead: Fraction | None = None
    once: bool = False
    softmax: int | None = None
    scaled: int | None = None


class Called(nn.Module):
    """A function, or a module, in a module of its own."""

    def __init__(self, inner: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)


class Projected(nn.Module):
    """A product with a parameter, in no module that holds it."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2 * D, D))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight)


class Multihead(nn.Module):
    """Self-attention by torch's module, off its fused path since its parameters ask for gradients."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.MultiheadAttention(D, H, bias=False, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x, x, x, need_weights=True)[0]


def fused(x: Tensor, causal: bool = False) -> Tensor:
    """Fused attention of `H` heads."""
    q = x.unflatten(-1, (H, -1)).transpose(1, 2)
    return F.scaled_dot_product_attention(q, q, q, is_causal=causal).transpose(1, 2).flatten(2)


def probed(read: Read) -> Traits:
    """Try a counter on every probe."""

    def figure(module: nn.Module, tokens: int = N) -> int | None:
        try:
            return read(module.eval(), (torch.zeros(B, tokens, D),))
        except Exception:  # whatever another tool raises: it has no habit here
            return None

    def share(module: nn.Module, right: int) -> Fraction | None:
        found = figure(module)
        return None if found is None else Fraction(found, right)

    layer = Called(nn.Linear(D, 2 * D, bias=False))
    return Traits(
        linear=share(layer, LINEAR),
        functional=share(Projected(), LINEAR),
        between=share(Called(lambda x: x @ x.transpose(1, 2)), GRAM),
        fused=share(Called(fused), ATTENTION),
        causal=share(Called(lambda x: fused(x, causal=True)), ATTENTION),
        multihead=share(Multihead(), 2 * LINEAR),
        once=bool(figure(layer)) and figure(layer) == figure(layer, 1),
        softmax=figure(Called(nn.Softmax(-1))),
        scaled=figure(Called(lambda x: x * 0.5)),
    )
