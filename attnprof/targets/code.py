"""A user's own code as a target: an nn.Module, an attention function, or a mask_mod."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from attnprof.contracts import Target
from attnprof.errors import AttnprofError, unknown
from attnprof.records import Value
from attnprof.targets.mask_mod import mask_entry
from attnprof.targets.module import ModuleTarget
from attnprof.targets.scheme import CatalogTarget, as_it_looks
from attnprof.targets.signatures import is_factory, is_mask_mod
from attnprof.words import Layout

SIZES = ("dim", "heads", "kv_heads", "causal")


def foreign(
    text: str,
    module: ModuleType,
    attribute: str,
    params: Mapping[str, Value],
    impl: str | None,
    arguments: Mapping[str, Value],
    layout: str | None = None,
) -> Target:
    """The class, function or object `attribute` of a user's file or package as a target.

    A class is an nn.Module, and so is an object that was built; a function of four parameters is a mask_mod
    `(b, h, q_idx, kv_idx)`, one that needs sizes and arguments at most makes a module, any other is attention on
    `(q, k, v)`. Raises `AttnprofError` where it is none of these.
    """
    found = _found(text, module, attribute)
    if params:
        raise AttnprofError(
            f"{text} has no parameters to --set", hint="constructor arguments are given by --arg KEY=VALUE"
        )
    if inspect.isclass(found):
        return _module(text, attribute, found, arguments, module, layout)
    if _is_module(found):
        if arguments:
            raise AttnprofError(f"{text} is built already, so that --arg comes too late", hint="name its class instead")
        return _module(text, attribute, found, arguments, module, layout, built=True)
    if not callable(found):
        raise AttnprofError(f"{text} is a {type(found).__name__}", hint="name a class or a function")
    if is_mask_mod(found):
        return as_it_looks(CatalogTarget.of(mask_entry(attribute, found, Path(_files(module)[0])), {}, impl))
    given = dict.fromkeys((*SIZES, *arguments))
    return _module(text, attribute, found, arguments, module, layout, function=not is_factory(found, given))


def _found(text: str, module: ModuleType, attribute: str) -> Any:
    """What a name stands for; a package may make it when it is asked for."""
    try:
        return getattr(module, attribute)
    except AttributeError:
        names = [name for name in dir(module) if not name.startswith("_")]
        raise unknown(f"class or function of {text.rpartition(':')[0]}", attribute, names) from None
    except ImportError as error:
        raise AttnprofError(f"{text} cannot be imported: {error}", hint="install what it needs") from error


def _module(
    text: str,
    name: str,
    code: Any,
    arguments: Mapping[str, Value],
    module: ModuleType,
    layout: str | None,
    *,
    function: bool = False,
    built: bool = False,
) -> ModuleTarget:
    said = None if layout is None else Layout(layout)
    files = _files(module)
    return ModuleTarget(text, name, code, dict(arguments), files, function=function, built=built, layout=said)


def _is_module(found: Any) -> bool:
    """Whether it is a module that was built: nothing is one before torch is loaded."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(found, torch.nn.Module)


def _files(module: ModuleType) -> tuple[str, ...]:
    return (str(module.__file__),) if module.__file__ else ()
