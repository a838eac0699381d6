"""Targets for counting: plain modules with inputs, without a catalogue."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from torch import Tensor, nn

from attnprof.pattern import Card, Pattern
from attnprof.shapes import Shape
from attnprof.units import Value

CARD = Card(title="test", bib="", survey_class="", complexity="", causality=(False, True), rule="")


@dataclass(frozen=True)
class ModuleTarget:
    """A function that makes a module and one that makes its inputs, as a target."""

    make: Callable[[], nn.Module]
    feed: Callable[[], tuple[Tensor, ...]]
    name: str = "module"
    card: Card = CARD
    parameters: Mapping[str, Value] = field(default_factory=dict)
    impl: str | None = None
    layers: int = 1

    def renamed(self, name: str) -> ModuleTarget:
        return replace(self, name=name)

    def resolve(self, n: int) -> Mapping[str, Value]:
        return self.parameters

    def build(self, shape: Shape) -> nn.Module:
        return self.make()

    def inputs(self, shape: Shape) -> tuple[Tensor, ...]:
        return self.feed()

    def reference(self, shape: Shape) -> nn.Module:
        return self.make()

    def pattern(self, shape: Shape) -> Pattern | None:
        return None

    def flops_paper(self, shape: Shape) -> int | None:
        return None
