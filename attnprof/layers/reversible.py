"""Reversible residual blocks, whose inputs are computed back from their outputs (Kitaev et al. 2020, section 4).

y1 = x1 + f(x2), y2 = x2 + g(y1): nothing between the first input and the last output is kept for the backward pass, at
the price of one more forward. Discrete choices of f and g (hash buckets) are kept, so that they come out alike.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from attnprof.layers.decisions import Decisions, keeping, replaying
from attnprof.layers.function_context import FunctionContext


class Reversible(nn.Module):
    """Pairs of layers (f, g) on `x [b, n, D]`: x enters both streams, their mean leaves."""

    def __init__(self, pairs: list[tuple[nn.Module, nn.Module]]) -> None:
        super().__init__()
        self.f = nn.ModuleList(f for f, _ in pairs)
        self.g = nn.ModuleList(g for _, g in pairs)

    def forward(self, x: Tensor) -> Tensor:
        y1, y2 = _Streams.apply(x, self, *self.parameters())  # type: ignore[misc]
        return (y1 + y2) / 2

    def reference(self, x: Tensor) -> Tensor:
        """The same blocks, every activation kept by autograd."""
        y1, y2 = x, x
        for f, g in zip(self.f, self.g, strict=True):
            y1 = y1 + f(y2)
            y2 = y2 + g(y1)
        return (y1 + y2) / 2


class ChunkedFeedForward(nn.Module):
    """A position-wise layer on a few stretches of the sequence, one after the other: its inner width exists once.

    `x [b, n, D]`; `chunks` does not depend on n.
    """

    def __init__(self, layer: nn.Module, chunks: int = 8) -> None:
        super().__init__()
        self.layer, self.chunks = layer, chunks

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.layer(part) for part in x.chunk(self.chunks, 1)], 1)


class _StreamsContext(FunctionContext, Protocol):
    blocks: Reversible
    choices: list[tuple[Decisions, Decisions]]


class _Streams(torch.autograd.Function):
    @staticmethod
    def forward(ctx: _StreamsContext, x: Tensor, blocks: Reversible, *parameters: Tensor) -> tuple[Tensor, Tensor]:
        ctx.blocks, ctx.choices = blocks, [(Decisions(), Decisions()) for _ in blocks.f]
        y1, y2 = x, x
        for f, g, (of_f, of_g) in zip(blocks.f, blocks.g, ctx.choices, strict=True):
            with keeping(of_f):
                y1 = y1 + f(y2)
            with keeping(of_g):
                y2 = y2 + g(y1)
        ctx.save_for_backward(y1, y2)
        return y1, y2

    @staticmethod
    def backward(ctx: _StreamsContext, *grads: Tensor) -> tuple[Tensor | None, ...]:
        y1, y2 = ctx.saved_tensors
        d1, d2 = grads
        found: dict[Tensor, Tensor] = {}
        layers = list(zip(ctx.blocks.f, ctx.blocks.g, ctx.choices, strict=True))
        for f, g, (of_f, of_g) in reversed(layers):
            out, grad = _again(g, y1, d2, of_g, found)
            y2, d1 = y2 - out, d1 + grad
            out, grad = _again(f, y2, d1, of_f, found)
            y1, d2 = y1 - out, d2 + grad
        return d1 + d2, None, *(found.get(p) for p in ctx.blocks.parameters())


def _again(
    layer: nn.Module, x: Tensor, grad: Tensor, choices: Decisions, found: dict[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    """The layer's output once more, and the gradient of its input; those of its parameters are added to `found`."""
    x = x.detach().requires_grad_()
    with torch.enable_grad(), replaying(choices):
        out = layer(x)
    parameters = [p for p in layer.parameters() if p.requires_grad]
    of_x, *rest = torch.autograd.grad(out, [x, *parameters], grad, allow_unused=True)
    for parameter, of_parameter in zip(parameters, rest, strict=True):
        if of_parameter is not None:
            found[parameter] = found[parameter] + of_parameter if parameter in found else of_parameter
    return out.detach(), torch.zeros_like(x) if of_x is None else of_x
