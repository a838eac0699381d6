"""An object that a user holds as a target: a module or its class, a function, a mask_mod, an expression, a mask."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any, Self

import numpy as np

from attnprof.contracts import Target
from attnprof.errors import AttnprofError, unknown
from attnprof.pattern import Expr
from attnprof.targets.as_it_looks import as_it_looks
from attnprof.targets.captured import of_block_mask, of_csr, of_dense
from attnprof.targets.catalog import OWN_CARD, Entry
from attnprof.targets.configs import config_class
from attnprof.targets.mask_mod import mask_entry
from attnprof.targets.module import ModuleTarget
from attnprof.targets.scheme import CatalogTarget
from attnprof.targets.signatures import is_factory, is_mask_mod, sizes_taken
from attnprof.targets.usage import Usage

WHAT = (
    "a name, a path, an nn.Module or its class, a function of q, k, v, a mask_mod (b, h, q_idx, kv_idx), an expression "
    "such as Band(4), a SciPy CSR, a BlockMask, or a boolean mask [n, n]"
)


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where an object comes from: the text that finds it or describes it, what to call it, its source files."""

    text: str
    name: str
    files: tuple[str, ...] = ()

    @classmethod
    def of_object(cls, thing: object) -> Self:
        """That of an object which was handed over: its class or function, and the file that defines that."""
        code = thing if inspect.isclass(thing) or inspect.isroutine(thing) else type(thing)
        name, file = code.__name__.strip("<>"), source_of(code)
        return cls(f"{file}:{name}" if file else name, name, (file,) if file and Path(file).is_file() else ())

    @property
    def path(self) -> Path:
        """Its first source file, or what stands for one."""
        return Path(self.files[0]) if self.files else Path(self.text)


def source_of(thing: Any) -> str | None:
    """The file that defines a class or function; None for a builtin, and for any other object."""
    try:
        return inspect.getsourcefile(thing)
    except TypeError:
        return None


def attribute_of(module: ModuleType, attribute: str, text: str) -> object:
    """What a name of a user's module stands for; a package may make it when it is asked for."""
    try:
        return getattr(module, attribute)
    except AttributeError:
        names = [name for name in dir(module) if not name.startswith("_")]
        raise unknown(f"class or function of {text.rpartition(':')[0]}", attribute, names) from None
    except ImportError as error:
        raise AttnprofError(f"{text} cannot be imported: {error}", hint="install what it needs") from error


def wrapped(
    thing: object,
    origin: Provenance,
    *,
    impl: str | None = None,
    usage: Usage,
) -> Target:
    """The object as a target. Raises `AttnprofError` for one that nothing can be profiled of.

    `usage` says how code is made and called. A function of four parameters is a mask_mod
    `(b, h, q_idx, kv_idx)`, one that needs sizes and arguments at most makes a module, any other is attention on
    `(q, k, v)`.
    """
    pattern = _pattern(thing, origin, impl)
    if pattern is not None:
        _refuse(usage, origin, "is a pattern, and takes no arguments")
        return pattern
    built = _is_torch(thing, "nn.modules.module", "Module")
    if not built and isinstance(thing, Target):
        _refuse(usage, origin, "is a target already", hint="give parameters where it is made")
        return thing
    if built:
        _refuse(usage, origin, "is built already, so that --arg comes too late", hint="name its class instead")
    if not callable(thing):
        kind = type(thing).__name__
        what = f"a value of type {kind} is no target" if origin.text == kind else f"{origin.text} is of type {kind}"
        raise AttnprofError(what, hint=f"a target is {WHAT}")
    if inspect.isclass(thing) and not _is_module_class(thing):
        raise AttnprofError(
            f"{origin.text} is a class, and not one of nn.Module",
            hint=f"derive it: class {thing.__name__}(nn.Module), with super().__init__() and forward(self, x)",
        )
    function = not built and not inspect.isclass(thing) and not _makes_module(thing, usage)
    files = (*origin.files, *((usage.config,) if usage.config else ()))
    return ModuleTarget(origin.text, origin.name, thing, usage, files, function=function, built=built)


def _makes_module(thing: Callable[..., object], usage: Usage) -> bool:
    """Whether a function can be called with sizes, arguments and a config alone."""
    config = config_class(thing)
    return is_factory(thing, (*sizes_taken(thing), *usage.arguments, *((config.parameter,) if config else ())))


def _refuse(usage: Usage, origin: Provenance, why: str, hint: str = "leave them out") -> None:
    given = [*usage.arguments, *usage.config_arguments, *((usage.config,) if usage.config else ())]
    if given:
        raise AttnprofError(f"{origin.text} {why}: {', '.join(given)}", hint=hint)


def _pattern(thing: Any, origin: Provenance, impl: str | None) -> Target | None:
    """The target of an object that is a pattern; None for any other."""
    if isinstance(thing, Expr):
        return _drawn(origin, lambda n: thing, f"expression {thing!r}", impl)
    if _is_torch(thing, "nn.attention.flex_attention", "BlockMask"):
        return of_block_mask(thing, origin.path, origin.name, impl)
    if type(thing).__module__.startswith("scipy.sparse"):
        return of_csr(thing, origin.path, origin.name, impl)
    if _is_torch(thing, "_tensor", "Tensor"):
        thing = thing.detach().cpu().numpy()
    if isinstance(thing, np.ndarray):
        return of_dense(thing, origin.path, origin.name, impl)
    if inspect.isroutine(thing) and is_mask_mod(thing):
        return as_it_looks(CatalogTarget.of(mask_entry(origin.name, thing, origin.path), {}, impl))
    return None


def _drawn(origin: Provenance, draw: Callable[..., Expr], title: str, impl: str | None) -> Target:
    card = replace(OWN_CARD, title=title)
    return as_it_looks(CatalogTarget.of(Entry(origin.name, origin.path, card, draw), {}, impl))


def _is_module_class(kind: type) -> bool:
    """Whether instances of a class are modules: nothing is one before torch is loaded."""
    home = sys.modules.get("torch.nn.modules.module")
    return home is not None and issubclass(kind, vars(home)["Module"])


def _is_torch(thing: object, module: str, name: str) -> bool:
    """Whether it is an instance of a class of torch: nothing is one before torch is loaded."""
    home = sys.modules.get(f"torch.{module}")
    return home is not None and isinstance(thing, vars(home)[name])
