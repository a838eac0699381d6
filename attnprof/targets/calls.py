"""How code is called: which tensors it is given, of which sizes, and where they stand among its arguments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

from attnprof.shapes import Shape
from attnprof.words import Layout

if TYPE_CHECKING:
    from torch import Tensor

AxisSize = str | int
AXES = "bhgnmdD"
SWAPPED = {Layout.NBD: (0, 1), Layout.BNHD: (1, 2)}
TURNING = (
    ("b", "n", "D"),
    ("b", "m", "D"),
    ("b", "h", "n", "d"),
    ("b", "g", "m", "d"),
    ("b", "g", "m", "d_v"),
)


class InputKind(Enum):
    """What an input holds: random numbers, ids of a vocabulary, positions from 0 on, a rotation's cosines or sines."""

    NUMBERS = auto()
    IDS = auto()
    POSITIONS = auto()
    COSINES = auto()
    SINES = auto()

    @property
    def is_asked_of_module(self) -> bool:
        """Whether a module has to be looked at to know what it takes: how many ids, how wide a rotation."""
        return self in (InputKind.IDS, InputKind.COSINES, InputKind.SINES)


@dataclass(frozen=True)
class CallInput:
    """A tensor that a call is given: its axes are letters of the notation `b h g n m d D`, or numbers.

    `stream`: its tokens are the queries, which a probe replaces; anything else stays as it is.
    """

    name: str
    axes: tuple[AxisSize, ...]
    kind: InputKind = InputKind.NUMBERS
    stream: bool = False

    @property
    def layouts(self) -> tuple[Layout, ...]:
        """The orders that its axes may lie in."""
        if self.kind is not InputKind.NUMBERS or self.axes not in TURNING:
            return ()
        return tuple(layout for layout in Layout if layout.of_streams is (len(self.axes) == len("bhnd")))

    def sizes(self, shape: Shape) -> tuple[int, ...]:
        """Its sizes at a shape, in our order."""
        return tuple(axis if isinstance(axis, int) else size_of(axis, shape) for axis in self.axes)

    def told(self, shape: Shape, layout: Layout | None, *, letters: str = "") -> str:
        """Its sizes for a reader; the axes among `letters` by their letter, keys that are the queries as `n`."""
        axes = ["n" if axis == "m" and shape.m is None else axis for axis in self.axes]
        shown = [axis if str(axis) in letters else size for axis, size in zip(axes, self.sizes(shape), strict=True)]
        if layout is not None and layout in SWAPPED and layout in self.layouts:
            a, b = SWAPPED[layout]
            shown[a], shown[b] = shown[b], shown[a]
        return f"[{', '.join(map(str, shown))}]"


def size_of(axis: str, shape: Shape) -> int:
    """The size that a letter stands for."""
    sizes = {"b": shape.batch, "h": shape.heads, "g": shape.groups, "n": shape.n, "m": shape.keys}
    return {**sizes, "d": shape.d, "d_v": shape.d_v, "D": shape.dim}[axis]


@dataclass(frozen=True)
class InputRef:
    """An argument that is an input."""

    name: str


Term = InputRef | tuple["Term", ...] | int | float | bool | str | None


@dataclass(frozen=True)
class CallArgument:
    """One argument: the parameter that takes it, whether it is given by that name, and what it is."""

    name: str
    term: Term
    keyword: bool = False


@dataclass(frozen=True)
class CallForm:
    """A call: its arguments, and the inputs that they are made of, in order. `text` is the user's own words for it."""

    arguments: tuple[CallArgument, ...]
    inputs: tuple[CallInput, ...]
    text: str = ""

    @property
    def plain(self) -> bool:
        """Whether it is the inputs themselves, one after the other."""
        given = [argument.term for argument in self.arguments if not argument.keyword]
        return len(given) == len(self.arguments) and given == [InputRef(it.name) for it in self.inputs]

    @property
    def of_heads(self) -> bool:
        """Whether its streams have an axis of heads: q, k and v."""
        return any(it.stream and "h" in it.axes for it in self.inputs)

    @property
    def reads_more(self) -> bool:
        """Whether it is given tokens that are no stream: a memory."""
        return any("m" in it.axes and not it.stream for it in self.inputs)

    def told(self, callee: str, shape: Shape, layout: Layout | None, *, letters: str = "") -> str:
        """The call for a reader: `forward(hidden_states=[1, n, 512], position_embeddings=(cos, sin))`."""
        sizes = {
            it.name: it.name
            if it.kind in (InputKind.COSINES, InputKind.SINES)
            else it.told(shape, layout, letters=letters)
            for it in self.inputs
        }
        if self.text:
            return f"{self.text} with {', '.join(f'{name} = {size}' for name, size in sizes.items())}"
        return f"{callee}({', '.join(_told(argument, sizes) for argument in self.arguments)})"

    def applied(self, tensors: Sequence[Tensor]) -> tuple[tuple[object, ...], dict[str, object]]:
        """The positional and the named arguments, of a tensor for each input."""
        given = dict(zip((it.name for it in self.inputs), tensors, strict=True))
        positional = tuple(_value(a.term, given) for a in self.arguments if not a.keyword)
        return positional, {a.name: _value(a.term, given) for a in self.arguments if a.keyword}


def _told(argument: CallArgument, sizes: Mapping[str, str]) -> str:
    return f"{argument.name}={_term(argument.term, sizes)}" if argument.name else _term(argument.term, sizes)


def _term(term: Term, sizes: Mapping[str, str]) -> str:
    if isinstance(term, InputRef):
        return sizes[term.name]
    return f"({', '.join(_term(each, sizes) for each in term)})" if isinstance(term, tuple) else repr(term)


def _value(term: Term, given: Mapping[str, object]) -> object:
    if isinstance(term, InputRef):
        return given[term.name]
    return tuple(_value(each, given) for each in term) if isinstance(term, tuple) else term


def names_in(term: Term) -> Iterator[str]:
    """The names of the inputs in a term, in order."""
    if isinstance(term, InputRef):
        yield term.name
    elif isinstance(term, tuple):
        for each in term:
            yield from names_in(each)
