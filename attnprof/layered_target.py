"""The contract of what is made of several targets, one after the other, and what it says of its layers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from attnprof.contracts import SchemeTarget, Target
from attnprof.shapes import Shape
from attnprof.units import Value
from attnprof.words import PartRole


@dataclass(frozen=True, slots=True)
class StackPart:
    """A part of a stack that is counted once and stands there `times`; `group` is that of its layers, None of the ends.

    `states` is what its pattern, its formula and its useful work are asked of, where that is not `target`: of a layer
    that reads the keys and values of another, whose own module is given them. With `shares_weights` it runs the module
    of an earlier layer, whose parameters and buffers count there.
    """

    target: Target
    shape: Shape
    times: int
    role: PartRole
    group: int | None = None
    label: str = ""
    states: Target | None = None
    shares_weights: bool = False


@dataclass(frozen=True, slots=True)
class StackGroup:
    """Layers of a stack that are alike: what they are called, their numbers from 1, their mixer and its shape.

    `ffn` is what is known of their FFN: its kind, and the sizes that it has.
    """

    label: str
    layers: tuple[int, ...]
    mixer: Target | None
    shape: Shape
    ffn: Mapping[str, Value] = field(default_factory=dict)
    shares_kv: bool = False
    shares_weights: bool = False

    @property
    def count(self) -> int:
        """How many layers."""
        return len(self.layers)


@runtime_checkable
class LayeredTarget(SchemeTarget, Protocol):
    """A target that is made of other targets, one after the other: a stack."""

    def groups(self, shape: Shape) -> tuple[StackGroup, ...]:
        """Its layers by kind, in the order of their first."""
        ...

    def parts(self, shape: Shape) -> tuple[StackPart, ...]:
        """All that its cost is the sum of."""
        ...

    def owners(self) -> Mapping[int, int]:
        """The layers (from 1) that share keys and values, each with the layer that keeps them."""
        ...

    def fitted(self, shape: Shape, explicit: Collection[str]) -> Shape:
        """The shape with the sizes that the stack states. Raises `AttnprofError` for another one asked for."""
        ...

    def differing(self, shape: Shape) -> tuple[str, ...]:
        """Labels of a shape that are not the same for all layers."""
        ...
