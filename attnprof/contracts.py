"""The contracts: what a target, a scheme's own maths and an implementation are, every optional part named and typed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

from attnprof.errors import Unsupported
from attnprof.shapes import Shape
from attnprof.units import Value
from attnprof.words import DeviceName, DType, Impl, Level, Maths

if TYPE_CHECKING:
    from torch import Tensor, nn

    from attnprof.pattern import Card, Pattern, Slices

    CoreMaker = Callable[["Spec"], nn.Module]


class Written(NamedTuple):
    """A scheme's own maths for one implementation: what makes its core, and closed forms of FLOPs.

    `flops_core`: of the core. `flops_selection`: of what it spends on choosing at the level of its shape, which is no
    part of the core. `flops_step`: of one token more in the core of a recurrence, the same after any number of them.
    """

    core: CoreMaker
    flops_core: Callable[[Spec], int] | None = None
    flops_selection: Callable[[Spec], int] | None = None
    flops_step: Callable[[Spec], int] | None = None


@dataclass(frozen=True, slots=True)
class Scheme:
    """What a file of `schemes/` defines; `schemes.scheme(name)` reads it. All but `written` is optional.

    The file's own names: `WRITTEN`, a `Written` for each implementation, the default first; or `Core`, with
    `flops_core`, `flops_selection` and `flops_step`, which is `eager`. `Layer`: a whole attention layer in place of
    projections and core. `Projections` and `FeedForward`: in place of the usual ones. `streams` and `inputs`: random
    inputs of a core, of a layer. `stacked`: its layers as one module.
    """

    name: str
    written: Mapping[str, Written]
    layer: Callable[[Spec], nn.Module] | None = None
    projections: Callable[[Spec], nn.Module] | None = None
    feed_forward: Callable[[Spec], nn.Module] | None = None
    streams: Callable[[Spec], tuple[Tensor, ...]] | None = None
    inputs: Callable[[Spec], tuple[Tensor, ...]] | None = None
    stacked: Callable[[list[nn.Module], Level], nn.Module] | None = None


@dataclass(frozen=True, slots=True)
class Spec:
    """All that a core is built from: sizes, parameters at this n, its pattern, how it is computed, the layer."""

    shape: Shape
    params: Mapping[str, Value] = field(default_factory=dict)
    pattern: Pattern | None = None
    impl: Impl | str | None = None
    layer: int = 0
    scheme: Scheme | None = None

    def edges(self) -> Pattern:
        """The pattern, for what executes edges. Raises `Unsupported` where it is not one softmax over edges."""
        if self.pattern is None:
            raise Unsupported(
                "its tokens meet in slots, or through a kernel of bounded rank: no edges between tokens to execute",
                hint="`attnprof graph` shows who reaches whom",
            )
        heads = range(self.pattern.heads)
        if any(len(self.pattern.expr(self.layer, head).terms()) > 1 for head in heads):
            raise Unsupported(
                f"the pattern of {self.pattern.name} is a sum of several softmaxes, and one is executed here",
                hint=f"give a union by `|`; attnprof graph {self.pattern.name} takes any pattern",
            )
        return self.pattern

    def number(self, name: str) -> int:
        """An integer parameter."""
        value = self.params[name]
        assert isinstance(value, int), f"{name} is {value!r}, not an integer"
        return value


@dataclass(frozen=True, slots=True)
class SchemeFacts:
    """What an implementation may know of a scheme before anything is built.

    `maths` names the scheme whose maths it is (`dense`, of `flash` too); `written` the implementations that its own
    file brings.
    """

    maths: str
    card: Card
    written: tuple[str, ...] = ()

    @property
    def of_edges(self) -> bool:
        """Whether its maths is a softmax over the edges of its pattern, and nothing else."""
        return self.card.maths is Maths.PATTERN


@runtime_checkable
class Implementation(Protocol):
    """A way to compute a scheme as tensors: a file of `impl/`, or a user's, has one as `IMPLEMENTATION`.

    `held_in`: the precision in which it is held to its reference, the widest that it takes. `portable`: whether that
    may be done on a CPU, whatever the device. `any_length`: whether what it builds is the same code at every length.
    """

    name: str
    held_in: DType = DType.FLOAT64
    portable: bool = True
    any_length: bool = False

    def can(self, scheme: SchemeFacts, shape: Shape, device: DeviceName) -> str | None:
        """None where it computes the scheme at this shape on this device, else why not; `none` runs nothing."""
        ...

    def build(self, spec: Spec) -> nn.Module:
        """The core: `q [b, h, n, d]`, `k, v [b, g, m, d]` (or the scheme's own streams) to `[b, h, n, d]`.

        Raises `Unsupported` where the pattern turns out to be beyond it.
        """
        ...

    def executed(self, spec: Spec) -> int | None:
        """FLOPs of the core's forward in closed form; None where it states none."""
        return None

    def tiles(self, spec: Spec) -> str | None:
        """The tile that its work comes in, queries x keys; None where it has none, or it is not known."""
        return None

    def trains(self, device: DeviceName) -> bool:
        """Whether it has a backward on this device."""
        return True


@runtime_checkable
class Checked(Protocol):
    """A part of a module that brings its own oracle: `reference`, with the arguments of `forward`."""

    def reference(self, *streams: Tensor) -> Any:
        """What `forward` has to give, written down from the definition."""
        ...


@runtime_checkable
class Steps(Protocol):
    """A module that goes on by one token."""

    def step(self, *streams: object) -> tuple[Any, Any]:
        """One token more, and last the state: its output, and the next state."""
        ...


@runtime_checkable
class Decodes(Steps, Protocol):
    """One whose state after n tokens can be made without them, for its size and its time."""

    def state(self, n: int) -> object:
        """What it keeps of n tokens, of random content."""
        ...


@runtime_checkable
class Prefills(Steps, Protocol):
    """One that makes its state of real tokens."""

    def prefill(self, *streams: object) -> object:
        """The state after these tokens."""
        ...


@runtime_checkable
class Continues(Decodes, Prefills, Protocol):
    """A core that does both."""


@runtime_checkable
class SharesParameters(Protocol):
    """A part of which every layer of a stack has the same parameters, by these names."""

    shared_by_layers: Iterable[str]


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
    def impl(self) -> Impl | str | None:
        """How it is computed; None where that is the user's code, or nothing computes it."""
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

    def flops_step(self, shape: Shape) -> int | None:
        """FLOPs of one token more in the core of a recurrence, all layers of the stack; None of what is none."""
        ...

    @property
    def files(self) -> tuple[str, ...]:
        """The file that it comes from."""
        ...

    @property
    def context(self) -> frozenset[str]:
        """The names of all that its pattern depends on, parameters and `layer`, `head`, `seed` and the like."""
        ...

    @property
    def closed_context(self) -> frozenset[str]:
        """The same of its closed count of edges; empty where it states none."""
        ...

    @property
    def sure(self) -> Slices | None:
        """The edges that it certainly has, where some of its edges are not known; None where all are."""
        ...

    def implementations(self) -> tuple[Impl, ...]:
        """What can compute it on this machine, the default first."""
        ...

    def cannot(self, shape: Shape, device: DeviceName) -> str | None:
        """Why its implementation cannot compute this shape on this device; None where it can."""
        ...

    def encodes(self, shape: Shape) -> bool:
        """Whether the shape asks for an encoder over m tokens and a decoder over n."""
        ...

    def edges(self, shape: Shape, layer: int = 0, head: int = 0, later: int = 0) -> int | None:
        """The closed count of distinct edges of one layer and head, of so many tokens more; None without."""
        ...

    def pairs(self, shape: Shape, layer: int = 0, head: int = 0, later: int = 0) -> int | None:
        """The closed count of query-key pairs, keys that are slots included; None where none is stated."""
        ...

    def pairs_step(self, shape: Shape, layer: int = 0, head: int = 0) -> int | None:
        """Keys that the token after n reads, where decoding reads others than the last row; None elsewhere."""
        ...

    def score_products(self, shape: Shape, layer: int = 0, head: int = 0, later: int = 0) -> int | Fraction:
        """Products of the width of a key that the scores take beside q k: positions, labels."""
        ...

    def flops_paper_step(self, shape: Shape) -> int | None:
        """The paper's formula for one token more after n; None where the paper states none."""
        ...

    def state_numbers(self, shape: Shape, n: int) -> int | None:
        """Numbers that decoding keeps of one sequence after n tokens; None where none is stated."""
        ...
