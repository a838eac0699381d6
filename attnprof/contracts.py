"""What every thing that can be profiled looks like once it is through the catalogue's door."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from attnprof.errors import Unsupported
from attnprof.records import Value
from attnprof.shapes import Shape
from attnprof.words import Runner

if TYPE_CHECKING:
    from torch import Tensor, nn

    from attnprof.pattern import Card, Pattern


@dataclass(frozen=True, slots=True)
class Spec:
    """All that a core is built from: sizes, parameters at this n, its pattern, how that is executed, the layer."""

    shape: Shape
    params: Mapping[str, Value] = field(default_factory=dict)
    pattern: Pattern | None = None
    runner: Runner | None = None
    layer: int = 0

    def edges(self) -> Pattern:
        """The pattern, for what executes edges. Raises `Unsupported` where tokens reach each other otherwise."""
        if self.pattern is None:
            raise Unsupported(
                "its tokens meet in slots, or through a kernel of bounded rank: a runner executes edges between tokens",
                hint="`attnprof graph` shows who reaches whom",
            )
        return self.pattern

    def number(self, name: str) -> int:
        """An integer parameter."""
        value = self.params[name]
        assert isinstance(value, int), f"{name} is {value!r}, not an integer"
        return value


@runtime_checkable
class Target(Protocol):
    """Anything that can be profiled: a catalogue entry, a user's pattern file, a user's module."""

    @property
    def name(self) -> str:
        """What records and pages call it."""
        ...

    def renamed(self, name: str) -> Target:
        """The same target, called otherwise in records and pages."""
        ...

    @property
    def card(self) -> Card:
        """Where it comes from and what it claims."""
        ...

    @property
    def parameters(self) -> Mapping[str, Value]:
        """Its parameters as given or by default; None where the value is a function of n."""
        ...

    @property
    def layers(self) -> int:
        """Layers of the smallest stack that it repeats; costs are totals over them."""
        ...

    @property
    def runner(self) -> Runner | None:
        """How its pattern is executed; None for a scheme that has no choice."""
        ...

    @property
    def runners(self) -> tuple[Runner, ...]:
        """The runners that can execute it, the default first."""
        ...

    def resolve(self, n: int) -> Mapping[str, Value]:
        """Its parameters at length n, as integers where the paper makes them functions of n."""
        ...

    def build(self, shape: Shape) -> nn.Module:
        """The module to profile. Raises `Unsupported` where the scheme does not define this shape."""
        ...

    def inputs(self, shape: Shape) -> tuple[Tensor, ...]:
        """Random inputs of the module: `x [b, n, D]`, or at level `core` the streams `[b, h, n, d]`."""
        ...

    def reference(self, shape: Shape) -> nn.Module:
        """The short oracle, with the state dict of `build(shape)`."""
        ...

    def pattern(self, shape: Shape) -> Pattern | None:
        """Who attends to whom; None where there are no edges to speak of."""
        ...

    def flops_paper(self, shape: Shape) -> int | None:
        """The paper's formula for the core, forward, all layers of the stack, batch included; None without one."""
        ...


@runtime_checkable
class SchemeTarget(Target, Protocol):
    """A target that comes from a pattern file, and so can state what it asks for in closed form."""

    def graph(self, shape: Shape, later: int = 0) -> Pattern:
        """Its pattern, slots and kernels included; with `later`, of as many tokens more at the parameters of n."""
        ...

    def encodes(self, shape: Shape) -> bool:
        """Whether the shape asks for an encoder over m tokens and a decoder over n."""
        ...

    def edges(self, shape: Shape, layer: int = 0, head: int = 0) -> int | None:
        """The closed count of distinct edges of one layer and head; None where none is stated."""
        ...

    def pairs(self, shape: Shape, layer: int = 0, head: int = 0) -> int | None:
        """The closed count of query-key pairs, keys that are slots included; None where none is stated."""
        ...

    def score_products(self, shape: Shape, layer: int = 0, head: int = 0, later: int = 0) -> int:
        """Products of the width of a key that the scores take beside q k: positions, labels."""
        ...

    def flops_paper_step(self, shape: Shape) -> int | None:
        """The paper's formula for one token more after n; None where the paper states none."""
        ...

    def state_numbers(self, shape: Shape, n: int) -> int | None:
        """Numbers that decoding keeps of one sequence after n tokens; None where none is stated."""
        ...
