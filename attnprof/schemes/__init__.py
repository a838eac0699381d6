"""Schemes whose maths is their own, one file each, named as in `patterns/`; here they become `Scheme`s."""

from __future__ import annotations

import difflib
import importlib
from functools import cache
from types import FunctionType, ModuleType

from attnprof.contracts import Scheme, Written
from attnprof.errors import AttnprofError
from attnprof.words import Impl

# What a file may define, and where a `Scheme` holds it.
PARTS = {
    "Layer": "layer",
    "Projections": "projections",
    "FeedForward": "feed_forward",
    "streams": "streams",
    "inputs": "inputs",
    "stacked": "stacked",
}
FORMS = ("flops_core", "flops_selection", "flops_step")
MATHS = ("WRITTEN", "Core", *FORMS)
ALIKE = 0.8


@cache
def scheme(name: str) -> Scheme:
    """The scheme that `schemes/<name>.py` defines."""
    return of_module(importlib.import_module(f"attnprof.schemes.{name}"))


def of_module(module: ModuleType) -> Scheme:
    """What a scheme's module defines. Raises `AttnprofError` where a name is nearly, but not quite, that of a part."""
    defined = vars(module)
    for name, value in defined.items():
        is_code = isinstance(value, (type, FunctionType)) and value.__module__ == module.__name__
        if is_code and not name.startswith("_"):
            refuse_misspelt(module, name)
    written = defined.get("WRITTEN")
    if written is None:
        if "Core" not in defined:
            raise AttnprofError(f"{module.__name__} defines no Core", hint="class Core(nn.Module), made of a Spec")
        written = {"eager": Written(defined["Core"], *(defined.get(form) for form in FORMS))}
    given = {field: defined.get(part) for part, field in PARTS.items()}
    return Scheme(module.__name__.rpartition(".")[2], {Impl(name): way for name, way in written.items()}, **given)


def refuse_misspelt(module: ModuleType, name: str) -> None:
    """Raise `AttnprofError` for a public name that is close to a part of the contract and none."""
    parts = (*MATHS, *PARTS)
    if name in parts:
        return
    folded = {part.casefold().replace("_", ""): part for part in parts}
    near = difflib.get_close_matches(name.casefold().replace("_", ""), folded, 1, ALIKE)
    if near:
        raise AttnprofError(
            f"{module.__name__} defines {name!r}, which no part of a scheme is called",
            hint=f"did you mean {folded[near[0]]}? a helper of another kind has another name, or a leading underscore",
        )
