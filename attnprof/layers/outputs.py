"""What a module returns: the tensors in it, and the one that is its output."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from torch import Tensor

from attnprof.errors import AttnprofError, unknown
from attnprof.torch_private import leaves


def tensors_in(value: object) -> list[Tensor]:
    """The tensors of a nested structure, in order; structures are those that torch's pytree knows."""
    return [t for t in leaves(value) if isinstance(t, Tensor)]


def first_output(returned: object) -> Tensor:
    """The output of a module that may return several things: the first floating-point or complex tensor among them.

    Counting, checking and timing start their backward from it. Raises `AttnprofError` where there is none.
    """
    found = next((t for t in tensors_in(returned) if t.is_floating_point() or t.is_complex()), None)
    if found is None:
        raise AttnprofError(
            f"it returned {_told(returned)}, in which there is no floating-point tensor",
            hint="return a tensor, or a tuple whose first tensor is the output",
        )
    return found


def _told(returned: object) -> str:
    if isinstance(returned, Tensor):
        return f"a tensor of {str(returned.dtype).removeprefix('torch.')}"
    return "None" if returned is None else f"a value of type {type(returned).__name__}"


def chosen(returned: object, wanted: str) -> object:
    """One of several outputs, by its index or its name. Raises `AttnprofError` for one that is not there."""
    named = _named(returned)
    if wanted in named:
        return named[wanted]
    raise unknown(f"output of a {type(returned).__name__}", wanted, named)


def _named(returned: object) -> dict[str, object]:
    """What a module returned by index and, of a mapping, a named tuple or a dataclass, by name."""
    if isinstance(returned, Mapping):
        named = {str(name): value for name, value in returned.items()}
    elif dataclasses.is_dataclass(returned):
        named = {f.name: vars(returned)[f.name] for f in dataclasses.fields(returned)}
    elif isinstance(returned, (tuple, list)):
        fields = vars(type(returned)).get("_fields", ())
        named = dict(zip(fields, returned, strict=False))
        return {**named, **{str(i): value for i, value in enumerate(returned)}}
    else:
        return {"0": returned}
    return {**named, **{str(i): value for i, value in enumerate(named.values())}}
