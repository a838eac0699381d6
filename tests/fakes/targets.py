"""Targets of a few lines, right and wrong in known ways."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from attnprof.errors import Unsupported
from attnprof.pattern import Band, Card, Pattern
from attnprof.shapes import Shape
from attnprof.units import Value

CARD = Card(title="fake", bib="", survey_class="", complexity="", causality=(True, False), rule="")


class Window(nn.Module):
    """Softmax attention to the `width` newest keys (all within `width` without causality), single projection."""

    def __init__(self, shape: Shape, width: int) -> None:
        super().__init__()
        self.shape, self.width = shape, width
        self.to_qkv = nn.Linear(shape.dim, shape.dim, bias=False)

    def forward(self, *streams: Tensor) -> Tensor:
        if self.shape.level == "core":
            return self.mix(*streams)
        x = self.to_qkv(streams[0]).unflatten(-1, (self.shape.heads, -1)).transpose(1, 2)
        return self.mix(x, x, x).transpose(1, 2).flatten(2)

    def mix(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        n = q.shape[-2]
        gap = torch.arange(n)[:, None] - torch.arange(n)
        seen = (gap.abs() <= self.width) & ((gap >= 0) | (not self.shape.causal))
        scores = (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).masked_fill(~seen, float("-inf"))
        return scores.softmax(-1) @ v


@dataclass
class FakeTarget:
    """A windowed scheme; `wrong` replaces its module, `width` is what the pattern says."""

    width: int = 8
    wrong: Callable[[Shape], nn.Module] | None = None
    oracle: bool = True
    card: Card = CARD
    name: str = "fake"
    layers: int = 1
    impl: str | None = None
    parameters: Mapping[str, Value] = field(default_factory=dict)
    builds: int = 0

    def renamed(self, name: str) -> FakeTarget:
        return replace(self, name=name)

    def resolve(self, n: int) -> Mapping[str, Value]:
        return self.parameters

    def build(self, shape: Shape) -> nn.Module:
        self.builds += 1
        make = self.wrong or (lambda s: Window(s, self.width))
        return make(shape).to(getattr(torch, shape.dtype))

    def inputs(self, shape: Shape) -> tuple[Tensor, ...]:
        kind = getattr(torch, shape.dtype)
        if shape.level == "core":
            size = (shape.batch, shape.heads, shape.n, shape.d)
            return torch.randn(size, dtype=kind), torch.randn(size, dtype=kind), torch.randn(size, dtype=kind)
        return (torch.randn(shape.batch, shape.n, shape.dim, dtype=kind),)

    def reference(self, shape: Shape) -> nn.Module:
        if not self.oracle:
            raise Unsupported("no reference")
        return Window(shape, self.width).to(getattr(torch, shape.dtype))

    def pattern(self, shape: Shape) -> Pattern | None:
        def draw(layer: int, head: int) -> Any:
            return Band(self.width, 0 if shape.causal else self.width)

        return Pattern("fake", shape.n, shape.causal, draw)

    def flops_paper(self, shape: Shape) -> int | None:
        return None
