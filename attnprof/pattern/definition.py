"""What a pattern file may define: `pattern`, `CARD`, `PARAMS`, `EXAMPLES` and the parts here, and nothing near them.

A public function whose name is nearly that of a part is taken for a slip; a helper that is meant starts with `_`.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

from attnprof.errors import AttnprofError, unknown
from attnprof.pattern.param import Param
from attnprof.units import Value

CONTEXT = ("causal", "layer", "head", "seed", "heads", "head_dim")
STATEMENTS = ("CARD", "PARAMS", "EXAMPLES")
NEAR = 0.8


# What each function may ask for by keyword, beside parameters.
OFFERED: Mapping[str, tuple[str, ...]] = {
    "pattern": CONTEXT,
    "resolve": (),
    "layers": (),
    **dict.fromkeys(("edges", "pairs", "pairs_step", "score_products"), CONTEXT),
    **dict.fromkeys(("flops_paper", "flops_paper_step"), ("dim", "heads", "causal", "keys")),
    "state_numbers": ("dim", "heads", "kv_heads", "head_dim", "v_head_dim"),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Parts:
    """The functions that a pattern file may define beside `pattern`, by their names there; None where it does not.

    All but `layers` take n. `resolve`: parameters at n, where `Param` cannot say it. `layers`: layer kinds of the
    smallest stack that repeats. `edges`: distinct edges of one layer and head. `pairs`: query-key pairs of all its
    softmaxes, where queries read slots too; `pairs_step`: of the token after n, where what decoding reads is not the
    last row of the pattern. `score_products`: its products as wide as a key that scores take beside one
    a pair. `flops_paper` and `flops_paper_step`: the paper's FLOPs of a sequence's forward pass in all layer kinds, and
    of one token more. `state_numbers`: numbers a layer that decoding keeps of a sequence.
    """

    resolve: Callable[..., Mapping[str, Value]] | None = None
    layers: Callable[..., int] | None = None
    edges: Callable[..., int | None] | None = None
    pairs: Callable[..., int] | None = None
    pairs_step: Callable[..., int] | None = None
    score_products: Callable[..., int | Fraction] | None = None
    flops_paper: Callable[..., int] | None = None
    flops_paper_step: Callable[..., int] | None = None
    state_numbers: Callable[..., int] | None = None


def functions_of(module: ModuleType) -> dict[str, Callable[..., Any]]:
    """The parts among what a pattern file holds, its own or imported from another.

    Raises `AttnprofError` for a public name that is nearly one that a pattern file may define.
    """
    held = vars(module)
    for name, value in held.items():
        own = inspect.isfunction(value) and value.__module__ == module.__name__
        if name.isupper() or (own and not name.startswith("_")):
            _refuse_near(module, name, STATEMENTS if name.isupper() else tuple(OFFERED))
    return {name: held[name] for name in OFFERED if callable(held.get(name))}


def _refuse_near(module: ModuleType, name: str, known: tuple[str, ...]) -> None:
    near = difflib.get_close_matches(name, known, n=1, cutoff=NEAR)
    if near and name not in known:
        raise AttnprofError(
            f"{module.__file__} defines {name!r}, which is no part of a pattern file",
            hint=f"did you mean {near[0]}? A helper of that name starts with an underscore: _{name}",
        )


def params_of(path: Path, stated: Mapping[str, Param], draw: Callable[..., Any]) -> dict[str, Param]:
    """The parameters of a pattern: those of `PARAMS`, then its own keywords that have a default and are no context."""
    for name, param in stated.items():
        if not isinstance(param, Param):
            raise AttnprofError(f"PARAMS of {path} has {name} = {param!r}, no Param", hint=f"Param({param!r})")
    keywords = [p for p in inspect.signature(draw).parameters.values() if p.kind is p.KEYWORD_ONLY]
    plain = [p for p in keywords if p.name not in (*stated, *CONTEXT) and p.default is not p.empty]
    return {**stated, **{p.name: Param.of(p) for p in plain}}


def check_keywords(path: Path, part: str, function: Callable[..., object], params: Mapping[str, Param]) -> None:
    """Raise `AttnprofError` where a part asks, without a default, for what is no parameter and is not offered to it."""
    for asked in inspect.signature(function).parameters.values():
        known = (*params, *OFFERED[part])
        if asked.kind is asked.KEYWORD_ONLY and asked.default is asked.empty and asked.name not in known:
            error = unknown("parameter", asked.name, known)
            raise AttnprofError(f"{part} of {path} asks for an {error.message}", hint=error.hint)


def check_examples(path: Path, examples: Any, params: Mapping[str, Param]) -> tuple[Mapping[str, Value], ...]:
    """The settings that the laws run. Raises `AttnprofError` for one that no target could be made with."""
    for settings in examples:
        for name, value in settings.items():
            if name not in params:
                raise unknown(f"parameter in EXAMPLES of {path.stem}", name, params)
            params[name].check(path.stem, name, value)
    return tuple(examples)
