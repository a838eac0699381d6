"""The one door: anything that can be profiled becomes a target here, whatever its user holds.

A text (a name, a path, `file.py:object`), a module, a class, a function, a mask_mod, an expression, a CSR, a BlockMask,
a boolean mask. Nothing here imports torch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from attnprof.contracts import Target
from attnprof.errors import AttnprofError, unknown
from attnprof.layered_target import LayeredTarget
from attnprof.models.lookup import is_model
from attnprof.naming import is_stack_text, path_exists
from attnprof.targets.catalog import CAPTURED, entry, load, names
from attnprof.targets.usage import Usage
from attnprof.units import Value
from attnprof.usercode import UserCode
from attnprof.userfiles import import_module, run_file

NAMED = 6
OF_A_HUB = re.compile(r"[\w-]+/[\w.-]*[\w]")


def target(thing: object, *, impl: str | None = None, usage: Usage | None = None, **parameters: Any) -> Target:
    """Whatever the user holds as a target: see `attnprof.target`."""
    if isinstance(thing, Path):
        thing = str(thing)
    said = usage or Usage()
    with_arguments = replace(said, arguments=parameters)
    if not isinstance(thing, str):
        from attnprof.targets.objects import Provenance, wrapped

        return wrapped(thing, Provenance.of_object(thing), impl=impl, usage=with_arguments)
    text = thing
    if is_stack(text) or is_model(text):
        return find(text, impl=impl, usage=said, params=parameters)
    if thing.endswith(".py") and (only := only_object(Path(thing))) is not None:
        text = f"{thing}:{only}"
    if is_code(text):
        return find(text, impl=impl, usage=with_arguments)
    return find(text, impl=impl, usage=said, params=parameters)


def find(
    text: str,
    *,
    params: Mapping[str, Value] | None = None,
    impl: str | None = None,
    usage: Usage | None = None,
    name: str | None = None,
) -> Target:
    """The target that a command line names (see `attnprof --help`), under a name of its own if one is given.

    `params` sets parameters of a scheme or pattern file, `usage` says how a module is made and called; `impl` is
    what computes it. Raises `AttnprofError` for anything unknown, with the nearest valid choice.
    """
    refuse_unknown(text)
    if is_model(text):
        return _stack(_model_as_stack(text), params or {}, impl, usage or Usage()).renamed(name or text)
    if is_stack(text):
        return _stack(text, params or {}, impl, usage or Usage())
    found = _found(text, params or {}, impl, (usage or Usage()).of_target(text))
    return found if name in (None, found.name) else found.renamed(name)


def is_stack(text: str) -> bool:
    """Whether a text is that of a stack, or the file of one."""
    return is_stack_text(text) or text.endswith(".toml")


def _model_as_stack(text: str) -> str:
    from attnprof.models.lookup import model_named
    from attnprof.models.stack_words import stack_text

    return f"{stack_text(model_named(text).architecture)} causal=true"  # they are all decoders


def _stack(text: str, params: Mapping[str, Value], impl: str | None, usage: Usage) -> LayeredTarget:
    from attnprof.targets.stack import stack

    if params:
        raise AttnprofError(
            "a stack has no parameters to --set", hint="say them in its text: 5 sliding_window window=8"
        )
    found = stack(text, lambda name, given, own: _found(name, given, own, usage.of_target(name)), impl)
    if usage != Usage() and not any(isinstance(mixer, UserCode) for mixer in found.mixers):
        raise AttnprofError(
            f"no layer of `{found.name}` is code of yours, of which it could be said how it is made or called",
            hint="parameters of a layer stand in the stack's text: 5 sliding_window window=8",
        )
    return found


def find_mixer(name: str, params: Mapping[str, Value], impl: str | None) -> Target:
    """The mixer of a layer of a stack: whatever a text finds, but another stack."""
    return _found(name, params, impl, Usage())


def is_code(text: str) -> bool:
    """Whether a text finds a user's code: an attribute of a file or package."""
    if is_stack(text) or is_model(text):
        return False
    file, colon, attribute = text.rpartition(":")
    return bool(file and colon) and attribute.isidentifier()


def refuse_unknown(text: str) -> None:
    """Raise `AttnprofError` for a text that finds nothing, whatever a user's files hold: none of them is run."""
    if text.isdecimal() or text.lower() in ("true", "false"):
        raise AttnprofError(
            f"{text} is no target",
            hint="several lengths are one word, --lengths 64,128; a flag such as --causal is followed by none",
        )
    if text not in names() and not (is_stack(text) or is_model(text)):
        _refuse_joined(text)
        _check_colons(text)
        if not is_code(text) and not text.endswith((".py", *CAPTURED)):
            raise _unknown(text)


def _found(text: str, params: Mapping[str, Value], impl: str | None, usage: Usage) -> Target:
    from attnprof.targets.as_it_looks import as_it_looks
    from attnprof.targets.scheme import CatalogTarget

    if text in names():
        return CatalogTarget.of(entry(text), params, impl)
    refuse_unknown(text)
    if is_code(text):
        from attnprof.targets.objects import Provenance, attribute_of, source_of, wrapped

        file, _, attribute = text.rpartition(":")
        module = run_file(Path(file)) if file.endswith(".py") else import_module(file)
        held = attribute_of(module, attribute, text)
        files = dict.fromkeys(str(path) for path in (module.__file__, source_of(held)) if path)
        origin = Provenance(text, attribute, tuple(files))
        if params:
            raise AttnprofError(
                f"{text} has no parameters to --set", hint="constructor arguments are given by --arg KEY=VALUE"
            )
        return wrapped(held, origin, impl=impl, usage=usage)
    if text.endswith(".py"):
        only = only_object(Path(text))
        if only is not None:
            return _found(f"{text}:{only}", params, impl, usage)
        return as_it_looks(CatalogTarget.of(load(Path(text).resolve()), params, impl))
    if text.endswith(CAPTURED):
        from attnprof.targets.captured import captured

        return captured(Path(text), impl)
    raise _unknown(text)


def _check_colons(text: str) -> None:
    """Raise `AttnprofError` where more than a class or function is asked of a file."""
    file, _, rest = text.partition(".py:")
    name = rest.strip(":").partition(":")[0]
    if ":" in rest:
        raise AttnprofError(
            f"{text!r} has more than one colon", hint=f"a class is called by its forward: {file}.py:{name or 'Class'}"
        )


def _refuse_joined(text: str) -> None:
    """Raise `AttnprofError` for several targets in one word: lengths and passes are joined by commas, these are not."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if "," in text and parts and not any(map(path_exists, (text, text.rpartition(":")[0] or text))):
        hint = f"targets are words of their own, without commas: {' '.join(parts)}"
        raise AttnprofError(f"unknown scheme {text!r}", hint=hint)


def _unknown(text: str) -> AttnprofError:
    """The error for a text that finds nothing: the nearest name, or what the text would have to look like."""
    file, colon, attribute = text.rpartition(":")
    if OF_A_HUB.fullmatch(text) and not Path(text).exists():
        return AttnprofError(
            f"{text} is no target", hint="a model is found by its type or its config: hf:llama, hf:config.json"
        )
    if colon and not (file and attribute.isidentifier()):
        written = f"{file or 'file.py'}:{attribute if attribute.isidentifier() else 'Class'}"
        return AttnprofError(f"{text!r} is half a name", hint=f"file.py:Class or package.module:Class, so: {written}")
    package, dot, name = text.rpartition(".")
    if dot and name.isidentifier() and package.replace(".", "").isidentifier():
        return AttnprofError(f"unknown scheme {text!r}", hint=f"a class of a package has a colon: {package}:{name}")
    if path_exists(text):
        return AttnprofError(
            f"{text} is no target",
            hint="a target is a scheme's name, a .py file, file.py:object, package.module:object, a .npz or a .pt",
        )
    error = unknown("scheme", text, names())
    if text.isidentifier() and text != text.lower():
        error.hint += f"; a class of your own is file.py:{text}"
    return error


def only_object(path: Path) -> str | None:
    """The one class or function that a file without a pattern defines. Raises `AttnprofError` where there are several.

    None for a pattern file, and for a file that defines nothing to profile.
    """
    module = run_file(path)
    if {"pattern", "CARD"} & vars(module).keys():
        return None
    own = [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and callable(value) and value.__module__ == module.__name__
    ]
    if len(own) > 1:
        raise AttnprofError(
            f"{path} defines no function `pattern`, and {len(own)} classes and functions",
            hint=f"name one: {', '.join(f'{path}:{name}' for name in own[:NAMED])}{', ...' if own[NAMED:] else ''}",
        )
    return own[0] if own else None
