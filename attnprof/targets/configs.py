"""The config that a constructor takes, as Hugging Face's classes do: its class, what it knows, and how it is made."""

from __future__ import annotations

import inspect
import json
import sys
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from attnprof.errors import AttnprofError, unknown
from attnprof.targets.signatures import Code, signature_of

PARAMETERS = ("config", "cfg", "args", "conf")
SUFFIXES = ("Config", "Args")
OF_A_FILE = ("model_type", "transformers_version", "_name_or_path", "torch_dtype", "auto_map")


@dataclass(frozen=True)
class ConfigClass:
    """The class of a constructor's parameter `parameter`."""

    parameter: str
    kind: type

    @cached_property
    def fields(self) -> frozenset[str]:
        """The keys that it knows: parameters of its own constructor, and whatever it has when it is made."""
        signature = signature_of(self.kind)
        named = {p.name for p in signature.parameters.values()} if signature else set()
        try:
            return frozenset({*named, *dir(self.kind())})
        except Exception:  # it has no defaults of its own
            return frozenset(named)

    def made(self, source: str, given: Mapping[str, object]) -> object:
        """The config. Raises `AttnprofError` for keys that it does not know, and for whatever it says of them."""
        for key in given:
            if not {key, f"_{key}"} & self.fields and key not in OF_A_FILE:
                raise unknown(f"key of {self.kind.__name__}, the config of {source},", key, self._public)
        try:
            return self.kind(**{key: value for key, value in given.items() if key not in OF_A_FILE})
        except Exception as error:
            said = (str(error).strip().splitlines() or [""])[0]
            raise AttnprofError(
                f"{self.kind.__name__} cannot be made with ({', '.join(given)}): {type(error).__name__}: {said}",
                hint="its keys are given by --config FILE.json and --config-arg KEY=VALUE",
            ) from error

    @property
    def _public(self) -> list[str]:
        signature = signature_of(self.kind)
        return [name for name in (signature.parameters if signature else ()) if not name.startswith("_")]


def config_class(code: Code) -> ConfigClass | None:
    """The config that code takes: the class that its annotation names, or that it or its module has for it.

    None where no required parameter is one.
    """
    signature = signature_of(code)
    parameters = signature.parameters.values() if signature else ()
    for parameter in parameters:
        if parameter.default is not parameter.empty or parameter.kind is not parameter.POSITIONAL_OR_KEYWORD:
            continue
        kind = _annotated(code, parameter)
        if kind is None and parameter.name in PARAMETERS:
            kind = _beside(code)
        if kind is not None and (parameter.name in PARAMETERS or kind.__name__.endswith(SUFFIXES)):
            return ConfigClass(parameter.name, kind)
    return None


def _annotated(code: Callable[..., object], parameter: inspect.Parameter) -> type | None:
    """The class that an annotation is or, as a text, names in the module of the code."""
    found = parameter.annotation
    if isinstance(found, str):
        home = vars(sys.modules.get(code.__module__, typing))
        found = home.get(found.rpartition(".")[2])
    return found if isinstance(found, type) and found.__module__ not in ("builtins", "inspect") else None


def _beside(code: Callable[..., object]) -> type | None:
    """The config class of a class, or of those in its module the one with the longest part of its name."""
    own = vars(code).get("config_class")
    if isinstance(own, type):
        return own
    home = vars(sys.modules.get(code.__module__, typing))
    found = [it for name, it in home.items() if isinstance(it, type) and name.endswith(SUFFIXES)]
    name = getattr(code, "__name__", "")
    fitting = [it for it in found if name.startswith(it.__name__.removesuffix("Config").removesuffix("Args"))]
    return max(fitting or found[:1], key=lambda it: len(it.__name__), default=None)


def config_file(path: str) -> dict[str, object]:
    """The keys of a JSON file. Raises `AttnprofError` where it holds no object."""
    try:
        found = json.loads(Path(path).read_text())
    except OSError as error:
        raise AttnprofError(
            f"cannot read {path}: {error.strerror}", hint="--config is the path of a JSON file"
        ) from error
    except ValueError as error:
        raise AttnprofError(f"{path} is no JSON: {error}", hint="a config file is one JSON object") from error
    if not isinstance(found, dict):
        raise AttnprofError(f"{path} holds no object", hint='a config file is one JSON object: {"hidden_size": 512}')
    return found
