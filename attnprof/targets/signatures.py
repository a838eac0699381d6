"""What a user's class or function says of itself: what it takes, and what kind of thing it is."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any

from attnprof.errors import AttnprofError
from attnprof.records import JsonObject

MASK_PARAMETERS = 4
STREAMS = ({"q", "query", "queries"}, {"k", "key", "keys"}, {"v", "value", "values"})

Code = Callable[..., Any]  # a class or function of a user's: what it takes is asked of its signature


def signature_of(code: Code) -> inspect.Signature | None:
    """The signature; None for a builtin that tells none."""
    try:
        return inspect.signature(code)
    except (TypeError, ValueError):
        return None


def taken(code: Callable[..., object], offered: Mapping[str, object]) -> dict[str, object]:
    """Of the keywords offered, those that the code takes by name."""
    signature = signature_of(code)
    known: Mapping[str, object] = signature.parameters if signature else {}
    return {name: value for name, value in offered.items() if name in known}


# What public code calls the sizes of attention: the names that torch, Hugging Face and their users' code have for them.
SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "dim": ("dim", "embed_dim", "d_model", "hidden_size", "model_dim", "n_embd"),
    "heads": ("heads", "num_heads", "nhead", "n_head", "n_heads", "num_attention_heads"),
    "kv_heads": ("kv_heads", "num_kv_heads", "n_kv_heads", "num_key_value_heads"),
    "head_dim": ("head_dim", "dim_head", "d_head", "head_size", "d_kv"),
    "causal": ("causal", "is_causal"),
}
SIZES = tuple(SYNONYMS)
LAYER_NUMBERS = ("layer_idx", "layer_id", "layer")  # where a constructor asks which layer it is: the first


def sizes_taken(code: Code) -> dict[str, str]:
    """The parameters of code that are sizes, with what attnprof calls them.

    A `dim` that may be left out (None), beside no heads, is the width of one head as well as of all: it is left alone.
    """
    signature = signature_of(code)
    known: Mapping[str, inspect.Parameter] = signature.parameters if signature else {}
    found = {word: size for size, words in SYNONYMS.items() for word in words if word in known}
    if "dim" in known and known["dim"].default is None and "heads" not in found.values():
        del found["dim"]
    return found


def size_named(word: str) -> str | None:
    """The size that a parameter or attribute of this name is; None for any other name."""
    return next((size for size, words in SYNONYMS.items() if word in words), None)


def required(code: Callable[..., object]) -> tuple[str, ...] | None:
    """The positional parameters that have no default, `self` left out; None where the signature is not known."""
    signature = signature_of(code)
    if signature is None:
        return None
    places = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    found = [p.name for p in signature.parameters.values() if p.default is p.empty and p.kind in places]
    return tuple(name for name in found if name != "self")


def is_mask_mod(function: Callable[..., object]) -> bool:
    """Whether a function is a `mask_mod(b, h, q_idx, kv_idx)`: of four parameters, which are not q, k and v."""
    signature = signature_of(function)
    names = list(signature.parameters) if signature else []
    streams = all(name.lower() in kind for name, kind in zip(names, STREAMS, strict=False))
    return len(names) == MASK_PARAMETERS and not streams


def is_factory(function: Callable[..., object], given: Collection[str]) -> bool:
    """Whether a function can be called with sizes and arguments alone, as what makes a module is: not with tensors."""
    needed = required(function)
    return needed is not None and set(needed) <= set(given)


def said(code: Callable[..., object]) -> str:
    """The parameters as a reader would look for them."""
    signature = signature_of(code)
    return ", ".join(signature.parameters) if signature else "what its documentation says"


def check_arguments(source: str, code: Code, given: JsonObject) -> None:
    """Raise `AttnprofError` where code cannot be called with these keywords."""
    signature = signature_of(code)
    if signature is None:
        return
    try:
        signature.bind(**given)
    except TypeError as error:
        raise AttnprofError(
            f"{source} cannot be made with ({', '.join(given)}): {error}",
            hint=f"its constructor takes ({said(code)}); give them by --arg KEY=VALUE",
        ) from error
