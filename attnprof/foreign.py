"""A user's own code as a target: an nn.Module, an attention function, or a mask_mod."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from attnprof.catalog import OWN_CARD, accepted
from attnprof.errors import AttnprofError, Unsupported, unknown
from attnprof.mask_mod import mask_entry
from attnprof.model import Shape, Value
from attnprof.pattern import Card, Pattern
from attnprof.scheme import Target
from attnprof.targets import CatalogTarget, torch_dtype
from attnprof.words import Runner

if TYPE_CHECKING:
    from torch import Tensor, nn

MASK_PARAMETERS = 4


def foreign(
    text: str,
    module: ModuleType,
    attribute: str,
    params: Mapping[str, Value],
    runner: str | None,
    arguments: Mapping[str, Value],
) -> Target:
    """The class or function `attribute` of a user's file or package as a target.

    A class is an nn.Module; a function of four parameters is a mask_mod `(b, h, q_idx, kv_idx)`; any other function
    is attention on `(q, k, v)`. Raises `AttnprofError` where it is none of these.
    """
    public = [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]
    found = getattr(module, attribute, None)
    if found is None:
        raise unknown(f"class or function of {text.rpartition(':')[0]}", attribute, public)
    if params:
        raise AttnprofError(
            f"{text} has no parameters to --set", hint="constructor arguments are given by --arg KEY=VALUE"
        )
    if inspect.isclass(found):
        return ModuleTarget(text, attribute, found, dict(arguments), _files(module))
    if not callable(found):
        raise AttnprofError(f"{text} is a {type(found).__name__}", hint="name a class or a function")
    if len(inspect.signature(found).parameters) == MASK_PARAMETERS:
        return CatalogTarget.of(mask_entry(attribute, found, Path(_files(module)[0])), {}, runner)
    return ModuleTarget(text, attribute, found, dict(arguments), _files(module), function=True)


def _files(module: ModuleType) -> tuple[str, ...]:
    return (str(module.__file__),) if module.__file__ else ()


def _fields(card: Card) -> dict[str, Any]:
    return {name: getattr(card, name) for name in card.__dataclass_fields__}


@dataclass(frozen=True, eq=False)
class ModuleTarget:
    """A user's nn.Module or attention function. It takes `x [b, n, D]`, or `q, k, v [b, h, n, d]`."""

    text: str
    name: str
    made_from: Callable[..., Any]
    arguments: Mapping[str, Value] = field(default_factory=dict)
    sources: tuple[str, ...] = ()
    function: bool = False
    runner: Runner | None = None
    runners: tuple[Runner, ...] = ()
    layers: int = 1

    @property
    def card(self) -> Card:
        """A card that says no more than what it is."""
        return Card(**{**_fields(OWN_CARD), "title": self.text, "maths": "own"})

    @property
    def parameters(self) -> Mapping[str, Value]:
        """The constructor's arguments as given."""
        return dict(self.arguments)

    def resolve(self, n: int) -> dict[str, Value]:
        """The arguments at length n: `{n}` replaced."""
        return {k: _at_length(v, n) for k, v in self.arguments.items()}

    def build(self, shape: Shape) -> nn.Module:
        """The module: `dim`, `heads`, `kv_heads` and `causal` of its constructor take the sizes of the shape."""
        import torch

        if self.function:
            return _as_module(self.made_from, shape)
        sizes = {"dim": shape.dim, "heads": shape.heads, "kv_heads": shape.groups, "causal": shape.causal}
        given = {**accepted(self.made_from, **sizes), **self.resolve(shape.n)}
        try:
            module = self.made_from(**given)
        except TypeError as error:
            wanted = ", ".join(inspect.signature(self.made_from).parameters)
            raise AttnprofError(
                f"{self.text} cannot be made with ({', '.join(given)}): {error}",
                hint=f"its constructor takes ({wanted}); give them by --arg KEY=VALUE",
            ) from error
        if not isinstance(module, torch.nn.Module):
            raise AttnprofError(f"{self.text} makes a {type(module).__name__}", hint="a class target is an nn.Module")
        return module.to(torch_dtype(shape))

    def inputs(self, shape: Shape) -> tuple[Tensor, ...]:
        """`(q, k, v)` where forward takes at least three required tensors, else `(x,)`."""
        import torch

        from attnprof.layers.attention import random_streams

        if self.takes_streams:
            return random_streams(shape)
        return (torch.randn(shape.batch, shape.n, shape.dim, dtype=torch_dtype(shape)),)

    @property
    def takes_streams(self) -> bool:
        """Whether it is called with q, k and v."""
        forward = self.made_from if self.function else getattr(self.made_from, "forward", self.made_from)
        found = [p for name, p in inspect.signature(forward).parameters.items() if name != "self"]
        return sum(p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD for p in found) >= 3

    def reference(self, shape: Shape) -> nn.Module:
        """There is none for a user's module; raises `Unsupported`."""
        raise Unsupported(f"{self.text} brings no reference to compare it with")

    def pattern(self, shape: Shape) -> Pattern | None:
        """Not declared: `attnprof graph` recovers it."""
        return None

    def flops_paper(self, shape: Shape) -> int | None:
        """None: a user's module claims nothing."""
        return None


def _at_length(value: Value, n: int) -> Value:
    if isinstance(value, str) and "{n}" in value:
        from attnprof.units import parse_value

        return parse_value(value.replace("{n}", str(n)))
    return value


def _as_module(function: Callable[..., Any], shape: Shape) -> nn.Module:
    from torch import nn

    class Function(nn.Module):
        """A user's attention function as a module."""

        def forward(self, *streams: Tensor) -> Tensor:
            extra = accepted(function, causal=shape.causal, is_causal=shape.causal)
            return function(*streams, **extra)

    return Function()
