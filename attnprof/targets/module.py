"""A user's nn.Module or attention function as a target."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from attnprof.errors import AttnprofError, Unsupported
from attnprof.pattern import Card, Pattern
from attnprof.records import Value
from attnprof.shapes import Shape
from attnprof.targets.catalog import OWN_CARD
from attnprof.targets.layouts import SWAPPED, drawn, seen_in_ours
from attnprof.targets.making import cast, checked_module, copied, made
from attnprof.targets.scheme import torch_dtype
from attnprof.targets.signatures import (
    SIZES,
    SYNONYMS,
    check_arguments,
    required,
    said,
    signature_of,
    size_named,
    sizes_taken,
)
from attnprof.targets.token_mixing import ENTRIES, MixingQuestion, probe
from attnprof.usercode import Mixing
from attnprof.words import DType, Layout, Level, Maths

if TYPE_CHECKING:
    from torch import Tensor, nn

FEWEST_STREAMS = 3
ROWS = ("query", "key", "value")
LABELS = ("level", "causal", "heads", "kv_heads", "head_dim", "v_head_dim")
OWN_SIZES = ("dim", "heads", "kv_heads")


@dataclass(frozen=True, eq=False)
class ModuleTarget:
    """A user's code as a target. It takes `x [b, n, D]`, or `q, k, v [b, h, n, d]`, in whatever order its axes lie.

    `code` is a class or a factory, with `built` a module that exists, with `function` an attention function. `layout`
    is the order of the axes where the user says it; else a probe finds it.
    """

    source: str
    name: str
    code: Any
    arguments: Mapping[str, Value] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    function: bool = False
    built: bool = False
    layout: Layout | None = None
    impl: None = None
    layers: int = 1
    known: dict[Any, Any] = field(default_factory=dict)

    @property
    def card(self) -> Card:
        """A card that says no more than what it is."""
        return replace(OWN_CARD, title=self.source, maths=Maths.OWN)

    @property
    def takes(self) -> str:
        """The parameters of its constructor, or of the function."""
        if self.built:
            return "it is built already, and takes none"
        return f"{'it' if self.function else 'its constructor'} takes ({said(self.code)})"

    @property
    def parameters(self) -> Mapping[str, Value]:
        """The constructor's arguments as given."""
        return dict(self.arguments)

    def resolve(self, n: int) -> dict[str, Value]:
        """The arguments at length n: `{n}` replaced."""
        return {k: _at_length(v, n) for k, v in self.arguments.items()}

    def renamed(self, name: str) -> ModuleTarget:
        """The same target under another name."""
        return replace(self, name=name)

    def unknown(self, shape: Shape) -> tuple[str, ...]:
        """Labels of a shape that nothing in its code takes: nobody knows whether they are true of it."""
        return tuple(name for name in LABELS if name not in self._bound(shape))

    @property
    def sizes(self) -> Mapping[str, int]:
        """The sizes that it has whatever is asked for: of its arguments, or of the module that was built."""
        if "sizes" not in self.known:
            stated = stated_sizes(self.code) if self.built else _stated(self.arguments)
            self.known["sizes"] = {name: size for name, size in stated.items() if name in OWN_SIZES}
        return self.known["sizes"]

    @property
    def defaults(self) -> Mapping[str, int]:
        """The sizes that its constructor has by default, which stand where none is asked for: `kv_heads`."""
        signature = None if self.built else signature_of(self.code)
        given = signature.parameters if signature else {}
        named = {word: given[word].default for word in SYNONYMS["kv_heads"] if word in given}
        return _stated(named) if not set(named) & set(self.arguments) else {}

    def _bound(self, shape: Shape) -> set[str]:
        given = {} if self.built else sizes_taken(self.code)
        bound = {size for word, size in given.items() if word not in self.arguments} | set(self.sizes)
        if self.takes_streams(shape):
            bound |= {"heads", "kv_heads", "head_dim", "v_head_dim"}
        return bound | ({"level"} if self.function and shape.level is Level.CORE else set())

    def takes_streams(self, shape: Shape) -> bool:
        """Whether it is called with q, k and v of several heads, not with rows of width D."""
        return len(self._input_sizes(shape)[0]) > FEWEST_STREAMS

    def called(self, shape: Shape) -> str:
        """How it is called, with the sizes of what it is given."""
        swapped = SWAPPED.get(self.layout or self._remembered(shape) or Layout.BND)
        sizes = [list(size) for size in self._input_sizes(shape)]
        for size in sizes if swapped else ():
            a, b = swapped or (0, 0)
            size[a], size[b] = size[b], size[a]
        return f"{self.name if self.function else 'forward'}({', '.join(map(str, sizes))})"

    def _remembered(self, shape: Shape) -> Layout | None:
        found = self.known.get(_family(shape))
        return found.layout if found else None

    def build(self, shape: Shape) -> nn.Module:
        """The module: `dim`, `heads`, `kv_heads` and `causal` of its constructor take the sizes of the shape."""
        return seen_in_ours(self._made(shape), self.mixing(shape).layout)

    def _made(self, shape: Shape) -> nn.Module:
        """The module as it is, its axes in its own order."""
        from attnprof.torch_private import without_modes

        dtype = torch_dtype(shape)
        if self.function:
            return as_module(self.code, self._sizes_of(shape, ("causal",)))
        if self.built:
            with without_modes():
                return cast(copied(self.code), dtype)
        given = {**self._sizes_of(shape), **self.resolve(shape.n)}
        check_arguments(self.source, self.code, given)
        return made(lambda: cast(checked_module(self.source, self.code(**given)), dtype))

    def _sizes_of(self, shape: Shape, only: Collection[str] = SIZES) -> dict[str, Any]:
        """The sizes of a shape by the names that the code has for them; those that it leaves to a default are left."""
        asked: dict[str, Any] = {
            "dim": shape.dim,
            "heads": shape.heads,
            "kv_heads": shape.groups,
            "causal": shape.causal,
        }
        asked |= {} if shape.head_dim is None else {"head_dim": shape.head_dim}
        return {word: asked[size] for word, size in sizes_taken(self.code).items() if size in only and size in asked}

    def mixing(self, shape: Shape) -> Mixing:
        """What it mixes, by a probe at a small length, once for each width, heads and causality."""
        family = _family(shape)
        if family not in self.known:
            self._check_layout(shape)
            small = shape.replace(batch=ENTRIES, dtype=DType.FLOAT32, m=None)
            self.known[family] = probe(
                MixingQuestion(
                    make=lambda n: self._made(small.replace(n=n)),
                    sizes=lambda n: self._input_sizes(small.replace(n=n, kv_heads=None)),
                    streams=self.takes_streams(shape),
                    given=self.layout,
                    stated=None if self.takes_streams(shape) else self._stated(),
                ),
                shape.n,
            )
        return self.known[family]

    def _check_layout(self, shape: Shape) -> None:
        fitting = [layout for layout in Layout if layout.of_streams is self.takes_streams(shape)]
        if self.layout and self.layout not in fitting:
            inputs = "q, k and v" if self.takes_streams(shape) else "x"
            raise AttnprofError(
                f"{self.source} takes {inputs}, which do not lie as {self.layout}",
                hint=f"--layout {' or '.join(fitting)}",
            )

    def _stated(self) -> Layout | None:
        """The layout that a module states by `batch_first`: its attribute, its constructor's argument or default."""
        first = vars(self.code).get("batch_first") if self.built else self.arguments.get("batch_first")
        signature = None if self.built else signature_of(self.code)
        if first is None and signature and "batch_first" in signature.parameters:
            first = signature.parameters["batch_first"].default
        return {True: Layout.BND, False: Layout.NBD}.get(first) if isinstance(first, bool) else None

    def inputs(self, shape: Shape) -> tuple[Tensor, ...]:
        """`(q, k, v)` where it takes at least three required tensors, else `(x,)`; they lie in its own order."""
        layout = self.mixing(shape).layout
        return tuple(drawn(size, layout, torch_dtype(shape)) for size in self._input_sizes(shape))

    def _input_sizes(self, shape: Shape) -> tuple[tuple[int, ...], ...]:
        """The sizes of its inputs, in our order; the names of a module's parameters tell rows of width D from heads."""
        names = self._parameters_of_call(shape)
        row = (shape.batch, shape.n, shape.dim)
        if names is not None and len(names) < FEWEST_STREAMS:
            return (row,)
        if not self.function and names is not None and names[:3] == ROWS:
            return (row, row, row)
        q = (shape.batch, shape.heads, shape.n, shape.d)
        k = (shape.batch, shape.groups, shape.keys, shape.d)
        return q, k, (*k[:-1], shape.d_v)

    def _parameters_of_call(self, shape: Shape) -> tuple[str, ...] | None:
        """The required parameters of what is called; a factory's module has to be made to know."""
        if "forward" not in self.known:
            if self.function:
                code = self.code
            elif self.built or isinstance(self.code, type):
                code = getattr(self.code, "forward", self.code)
            else:
                code = self._made(shape).forward
            self.known["forward"] = required(code)
        return self.known["forward"]

    def reference(self, shape: Shape) -> nn.Module:
        """There is none for a user's module; raises `Unsupported`."""
        raise Unsupported(f"{self.source} brings no reference to compare it with")

    def pattern(self, shape: Shape) -> Pattern | None:
        """Not declared: `attnprof graph` recovers it."""
        return None

    def flops_paper(self, shape: Shape) -> int | None:
        """None: a user's module claims nothing."""
        return None


def _family(shape: Shape) -> tuple[Any, ...]:
    """What a probe's answer depends on, beside the code."""
    return shape.dim, shape.heads, shape.groups, shape.causal


def stated_sizes(module: nn.Module) -> dict[str, int]:
    """The sizes that a built module states: by its attributes, its config's, or the width of its first layer."""
    config = vars(module).get("config")
    found = {**(_stated(vars(config)) if config is not None and hasattr(config, "__dict__") else {})}
    found |= _stated(vars(module))
    if "dim" not in found:
        width = next((w for part in module.modules() if (w := _width(part)) is not None), None)
        found |= {} if width is None else {"dim": width}
    return found


def _stated(named: Mapping[str, Any]) -> dict[str, int]:
    sizes = {size_named(word): value for word, value in named.items()}
    return {
        name: value for name, value in sizes.items() if name and isinstance(value, int) and not isinstance(value, bool)
    }


def _width(part: nn.Module) -> int | None:
    """The width of the rows that a layer takes, where it is one of torch's that say so."""
    from torch import nn

    if isinstance(part, nn.Linear):
        return part.in_features
    if isinstance(part, nn.LayerNorm) and len(part.normalized_shape) == 1:
        return part.normalized_shape[0]
    return part.embed_dim if isinstance(part, nn.MultiheadAttention) else None


def _at_length(value: Value, n: int) -> Value:
    if isinstance(value, str) and "{n}" in value:
        from attnprof.units import parse_value

        return parse_value(value.replace("{n}", str(n)))
    return value


def as_module(function: Callable[..., Any], extra: Mapping[str, Any]) -> nn.Module:
    """A user's attention function as a module."""
    from torch import nn

    class Function(nn.Module):
        """It has no parameters, and calls the function."""

        def forward(self, *streams: Tensor) -> Tensor:
            return function(*streams, **extra)

    return Function()
