"""Making a user's module: from its class, a factory, or an instance that was built before; of real or fake tensors."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from attnprof.errors import AttnprofError
from attnprof.records import JsonObject
from attnprof.targets.signatures import Code
from attnprof.units import Value, parse_value

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


def made(make: Callable[[], nn.Module]) -> nn.Module:
    """The module; of real tensors where it cannot be made of fake ones, as when its constructor reads values."""
    from attnprof.torch_private import is_faking, without_modes

    if not is_faking():
        return make()
    try:
        return make()
    except AttnprofError:
        raise
    except Exception:
        with without_modes():
            return make()


def copied(instance: nn.Module) -> nn.Module:
    """A copy of a built module that shares its parameters' memory, and nothing else with it."""
    from torch import nn

    from attnprof.torch_private import without_modes

    with without_modes():
        shared = {id(p): nn.Parameter(p.detach(), p.requires_grad) for p in instance.parameters()}
        return copy.deepcopy(instance, dict(shared))


def cast(module: nn.Module, dtype: torch.dtype) -> nn.Module:
    """The module in a precision. Untouched where it is in it: fake parameters that were copied cannot be swapped."""
    given = [*module.parameters(), *module.buffers()]
    if all(t.dtype == dtype for t in given if t.is_floating_point()):
        return module
    return module.to(dtype)


def checked_module(source: str, found: object) -> nn.Module:
    """The module, if that is what was made. Raises `AttnprofError` otherwise."""
    from torch import nn

    if not isinstance(found, nn.Module):
        raise AttnprofError(
            f"{source} makes something of type {type(found).__name__}, and no nn.Module",
            hint="a class is one of nn.Module, a factory returns one; a function of its own takes q, k and v",
        )
    return found


def as_module(function: Code, extra: JsonObject) -> nn.Module:
    """A user's attention function as a module, with keywords that it is given besides."""
    from torch import nn

    class Function(nn.Module):
        """It has no parameters, and calls the function."""

        def forward(self, *streams: Tensor, **named: object) -> object:
            return function(*streams, **{**extra, **named})

    return Function()


def plainly(value: object) -> Value:
    """An argument as a record holds it: what is no plain value by its type's name."""
    return value if value is None or isinstance(value, (bool, int, float, str)) else type(value).__name__


def at_length(value: Any, n: int) -> Any:
    """An argument with `{n}` replaced by the length."""
    return parse_value(value.replace("{n}", str(n))) if isinstance(value, str) and "{n}" in value else value
