"""A user's nn.Module or attention function as a target."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from attnprof.errors import AttnprofError, Failed, Unsupported, out_of_memory, place_of
from attnprof.pattern import Card, Pattern
from attnprof.records import JsonObject
from attnprof.shapes import Shape
from attnprof.targets.accepted import length_near
from attnprof.targets.call_names import by_name
from attnprof.targets.call_text import call_of, input_of
from attnprof.targets.calling import Calling, ModuleFacts
from attnprof.targets.calls import CallForm
from attnprof.targets.catalog import OWN_CARD
from attnprof.targets.configs import ConfigClass, config_class, config_file
from attnprof.targets.made_sizes import first_width, own_width, sizes_in, sizes_of_module
from attnprof.targets.making import as_module, at_length, cast, checked_module, copied, made, plainly
from attnprof.targets.scheme import torch_dtype
from attnprof.targets.signatures import (
    LAYER_NUMBERS,
    SIZES,
    SYNONYMS,
    Code,
    check_arguments,
    required,
    said,
    signature_of,
    sizes_taken,
)
from attnprof.targets.token_mixing import ENTRIES, MixingQuestion, probe
from attnprof.targets.usage import Usage
from attnprof.units import Value
from attnprof.usercode import Mixing
from attnprof.words import DType, Layout, Level, Maths

if TYPE_CHECKING:
    from torch import Tensor, nn

LABELS = ("level", "causal", "heads", "kv_heads", "head_dim", "v_head_dim")
SHOWN_KEYS = 12
SMALL_N = 64


@dataclass(frozen=True, eq=False)
class ModuleTarget:
    """A user's code as a target. It takes `x [b, n, D]`, or `q, k, v [b, h, n, d]`, in whatever order its axes lie.

    `code` is a class or a factory, with `built` a module that exists, with `function` an attention function. `usage` is
    what the user says of how it is made and called; the rest is found by the names of its parameters, and by a probe.
    """

    source: str
    name: str
    code: Any
    usage: Usage = field(default_factory=Usage)
    files: tuple[str, ...] = ()
    function: bool = False
    built: bool = False
    impl: None = None
    layers: int = 1
    known: dict[Any, Any] = field(default_factory=dict)

    @property
    def card(self) -> Card:
        """A card that says no more than what it is."""
        return replace(OWN_CARD, title=self.source, maths=Maths.OWN)

    @property
    def takes(self) -> str:
        """The parameters of its constructor and of its config, or of the function."""
        if self.built:
            return "it is built already, and takes none"
        text = f"{'it' if self.function else 'its constructor'} takes ({said(self.code)})"
        if self.config is None:
            return text
        keys = said(self.config.kind).split(", ")
        more = f", ... {len(keys) - SHOWN_KEYS} more" if len(keys) > SHOWN_KEYS else ""
        return f"{text}; {self.config.kind.__name__} takes ({', '.join(keys[:SHOWN_KEYS])}{more}) by --config-arg"

    @cached_property
    def config(self) -> ConfigClass | None:
        """The config that its constructor takes, where none is given as an argument."""
        found = None if self.built or self.function else config_class(self.code)
        return None if found is None or found.parameter in self.usage.arguments else found

    @cached_property
    def given_to_config(self) -> JsonObject:
        """The keys of its config that the user gives: of a file, and before them those given one by one."""
        if self.config is None and (self.usage.config or self.usage.config_arguments):
            raise AttnprofError(f"{self.source} takes no config", hint=f"{self.takes}; give them by --arg KEY=VALUE")
        held = config_file(self.usage.config) if self.usage.config else {}
        return {**held, **self.usage.config_arguments}

    @property
    def parameters(self) -> Mapping[str, Value]:
        """The arguments of the constructor and its config as given; what is no plain value by its type's name."""
        given = {**self.given_to_config, **self.usage.arguments}
        return {name: plainly(value) for name, value in given.items()}

    def resolve(self, n: int) -> dict[str, Value]:
        """The arguments at length n: `{n}` replaced."""
        return {name: at_length(value, n) for name, value in self.parameters.items()}

    def renamed(self, name: str) -> ModuleTarget:
        """The same target under another name."""
        return replace(self, name=name)

    def unknown(self, shape: Shape) -> tuple[str, ...]:
        """Labels of a shape that nothing in its code takes: nobody knows whether they are true of it."""
        return tuple(name for name in LABELS if name not in self._bound(shape))

    @cached_property
    def sizes(self) -> Mapping[str, int]:
        """The sizes that it has whatever is asked for: of its arguments, or of the module that was built."""
        if self.built:
            return sizes_of_module(self.code)
        stated = {**sizes_in(self.given_to_config), **sizes_in(self.usage.arguments)}
        return {**self._own_width(), **stated}

    def _own_width(self) -> dict[str, int]:
        """The width that it has where nothing of its constructor or config decides it."""
        bound = {*sizes_taken(self.code).values(), *(sizes_taken(self.config.kind).values() if self.config else ())}
        if self.function or "dim" in bound or self.usage.call or self.usage.inputs:
            return {}
        try:
            width = own_width(self._small(Shape(n=SMALL_N)))
        except AttnprofError:
            return {}  # it cannot be made: whoever makes it says why
        return {} if width is None else {"dim": width}

    @property
    def defaults(self) -> Mapping[str, int]:
        """The sizes that its constructor has by default, which stand where none is asked for."""
        signature = None if self.built else signature_of(self.code)
        given = signature.parameters if signature else {}
        words = (word for size in ("kv_heads", "head_dim") for word in SYNONYMS[size])
        return sizes_in({w: given[w].default for w in words if w in given and w not in self.usage.arguments})

    def _bound(self, shape: Shape) -> set[str]:
        given = {} if self.built else self._taken(self.code, self.usage.arguments)
        of_config = self._taken(self.config.kind, self.given_to_config) if self.config else {}
        bound = {*given.values(), *of_config.values(), *self.sizes}
        if self.takes_streams(shape):
            bound |= {"heads", "kv_heads", "head_dim", "v_head_dim"}
        return bound | ({"level"} if self.function and shape.level is Level.CORE else set())

    def _taken(self, code: Code, given: Collection[str]) -> dict[str, str]:
        """The parameters that take sizes of the shape: those that were not given, by what we call them."""
        return {word: size for word, size in sizes_taken(code).items() if word not in given}

    def takes_streams(self, shape: Shape) -> bool:
        """Whether it is called with q, k and v of several heads, not with rows of width D."""
        return self.form(shape).of_heads

    def reads_keys_of_its_own(self, shape: Shape) -> bool:
        """Whether some input has the axis m."""
        return any("m" in it.axes for it in self.form(shape).inputs)

    def called(self, shape: Shape) -> str:
        """How it is called, with the sizes of what it is given."""
        found = self.known.get(_family(shape))
        return self.form(shape).told(self._callee, shape, found.layout if found else self.usage.layout)

    def call(self, shape: Shape) -> str:
        """How it is called at any length, as records say it: `forward(hidden_states=[1, n, 512])`."""
        return self.form(shape).told(self._callee, shape, self.usage.layout, letters="nm")

    @property
    def _callee(self) -> str:
        return self.name if self.function else "forward"

    def form(self, shape: Shape) -> CallForm:
        """Its call: the user's own words, or by the names of its parameters."""
        if "form" not in self.known:
            self.known["form"] = self._form(shape)
        form: CallForm = self.known["form"]
        return form

    def _form(self, shape: Shape) -> CallForm:
        described = [input_of(text) for text in self.usage.inputs]
        if self.usage.call:
            return call_of(self.usage.call, described)
        projects = lambda: first_width(self._small(shape)) == shape.dim  # noqa: E731
        try:
            return by_name(self._code_of_call(shape), described, function=self.function, projects=projects)
        except AttnprofError as error:
            own = error.message.startswith(self.source)
            raise AttnprofError(error.message if own else f"{self.source}: {error.message}", hint=error.hint) from error

    def _code_of_call(self, shape: Shape) -> Code:
        """What is called; a factory's module has to be made to know."""
        made: Any = self.code
        if not (self.function or self.built or isinstance(self.code, type)):
            made = self._small(shape)
        called: Code = made if self.function else made.forward
        return called

    def calling(self, shape: Shape) -> Calling:
        """Its call, with what the module says of rotations and ids."""
        form = self.form(shape)
        asks = any(it.kind.is_asked_of_module for it in form.inputs)
        if asks and "facts" not in self.known:
            self.known["facts"] = ModuleFacts.of(self._small(shape))
        return Calling(form, self.usage.output, self.known.get("facts", ModuleFacts()))

    def _small(self, shape: Shape) -> nn.Module:
        """The module at this shape, to be looked at: without memory."""
        if self.built:
            built: nn.Module = self.code
            return built
        from attnprof.torch_private import fake_mode

        with fake_mode():
            return self._made(shape)

    def build(self, shape: Shape) -> nn.Module:
        """The module: `dim`, `heads`, `kv_heads` and `causal` of its constructor take the sizes of the shape."""
        from attnprof.layers.cached_steps import decoding

        calling, layout = self.calling(shape), self.mixing(shape).layout
        module = calling.hooked(self._made(shape), layout)
        return decoding(module, lambda n: calling.inputs(shape.replace(n=n), layout))

    def _made(self, shape: Shape) -> nn.Module:
        """The module as it is, its axes in its own order."""
        from attnprof.torch_private import without_modes

        dtype = torch_dtype(shape)
        if self.function:
            return as_module(self.code, self._sizes_of(self.code, self.usage.arguments, shape, ("causal",)))
        if self.built:
            with without_modes():
                return cast(copied(self.code), dtype)
        given = self._given(shape)
        check_arguments(self.source, self.code, given)
        try:
            return made(lambda: cast(checked_module(self.source, self.code(**given)), dtype))
        except (AttnprofError, MemoryError):
            raise
        except Exception as error:
            if out_of_memory(error):
                raise
            why = f"{type(error).__name__}: {(str(error).strip().splitlines() or ['no message'])[0]}"
            told = ", ".join(f"{name}={plainly(value)!r}" for name, value in given.items())
            raise Failed(
                f"{self.source} cannot be made{place_of(error, self.files, self.source)}: {why}",
                hint=f"it was made with ({told}); {self.takes}",
            ) from error

    def _given(self, shape: Shape) -> dict[str, object]:
        """The arguments of its constructor at a shape: sizes, the number of a layer, a config, and what is given."""
        own = {name: at_length(value, shape.n) for name, value in self.usage.arguments.items()}
        numbers = {name: 0 for name in required(self.code) or () if name in LAYER_NUMBERS}
        given: dict[str, object] = {**self._sizes_of(self.code, own, shape), **numbers}
        if self.config is not None:
            said_of = {name: at_length(value, shape.n) for name, value in self.given_to_config.items()}
            sizes = self._sizes_of(self.config.kind, said_of, shape)
            given[self.config.parameter] = self.config.made(self.source, {**sizes, **said_of})
        return {**given, **own}

    def _sizes_of(
        self, code: Code, own: Collection[str], shape: Shape, only: Collection[str] = SIZES
    ) -> dict[str, int | bool]:
        """The sizes of a shape by the names that code has for them, but for those that it was given."""
        asked: dict[str, int | bool] = {
            "dim": shape.dim,
            "heads": shape.heads,
            "kv_heads": shape.groups,
            "head_dim": shape.d,
            "causal": shape.causal,
        }
        return {word: asked[size] for word, size in self._taken(code, own).items() if size in only}

    def mixing(self, shape: Shape) -> Mixing:
        """What it mixes, by a probe at a small length, once for each width, heads and causality."""
        family = _family(shape)
        if family not in self.known:
            self._check_layout(shape)
            small = shape.replace(batch=ENTRIES, dtype=DType.FLOAT32, m=None)
            stated = None if self.takes_streams(shape) else self._stated()
            self.known[family] = probe(
                MixingQuestion(self._made, self.calling(shape), small, given=self.usage.layout, stated=stated), shape.n
            )
        seen: Mixing = self.known[family]
        return seen

    def length_near(self, shape: Shape) -> int | None:
        """The length of a shape where it runs there, else the nearest at which it does; None where there is none."""
        from attnprof.torch_private import without_modes

        with without_modes():
            return length_near(self._made, self.calling(shape), shape, self.mixing(shape).layout)

    def _check_layout(self, shape: Shape) -> None:
        fitting = [layout for layout in Layout if layout.of_streams is self.takes_streams(shape)]
        if self.usage.layout and self.usage.layout not in fitting:
            inputs = "q, k and v" if self.takes_streams(shape) else "x"
            raise AttnprofError(
                f"{self.source} takes {inputs}, which do not lie as {self.usage.layout}",
                hint=f"--layout {' or '.join(fitting)}",
            )

    def _stated(self) -> Layout | None:
        """The layout that a module states by `batch_first`: its attribute, its constructor's argument or default."""
        first = vars(self.code).get("batch_first") if self.built else self.usage.arguments.get("batch_first")
        signature = None if self.built else signature_of(self.code)
        if first is None and signature and "batch_first" in signature.parameters:
            first = signature.parameters["batch_first"].default
        return {True: Layout.BND, False: Layout.NBD}.get(first) if isinstance(first, bool) else None

    def inputs(self, shape: Shape) -> tuple[Tensor, ...]:
        """What its call is made of, the streams and whatever else; rows and streams lie in its own order."""
        return self.calling(shape).inputs(shape, self.mixing(shape).layout)

    def streams(self, shape: Shape) -> tuple[bool, ...]:
        """Of each of its inputs, whether its tokens are the queries."""
        return tuple(it.stream for it in self.form(shape).inputs)

    def followed(self, shape: Shape) -> tuple[nn.Module, Callable[[], tuple[Tensor, ...]]]:
        """The module as one that takes its streams alone, rows in place of ids, and what draws them."""
        from attnprof.targets.followed import followed

        return followed(self.build(shape), self.form(shape), lambda: self.inputs(shape))

    def reference(self, shape: Shape) -> nn.Module:
        """There is none for a user's module; raises `Unsupported`."""
        raise Unsupported(f"{self.source} brings no reference to compare it with")

    def pattern(self, shape: Shape) -> Pattern | None:
        """Not declared: `attnprof graph` recovers it."""
        return None

    def flops_paper(self, shape: Shape) -> int | None:
        """None: a user's module claims nothing."""
        return None


def _family(shape: Shape) -> tuple[int, int, int, bool]:
    """What a probe's answer depends on, beside the code."""
    return shape.dim, shape.heads, shape.groups, shape.causal
