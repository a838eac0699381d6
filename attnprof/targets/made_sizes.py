"""The sizes that a user's code has of its own: stated in its arguments or its config, or by a module that is built."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from attnprof.targets.configs import PARAMETERS
from attnprof.targets.signatures import size_named

if TYPE_CHECKING:
    from torch import nn

OWN_SIZES = ("dim", "heads", "kv_heads")


def sizes_of_module(module: nn.Module) -> dict[str, int]:
    """The sizes that a built module states: by its attributes, its config's, or the width of its first layer."""
    found = sizes_in(vars(module))
    if "dim" not in found:
        width = first_width(module)
        found |= {} if width is None else {"dim": width}
    return found


def sizes_in(named: Mapping[str, object]) -> dict[str, int]:
    """The sizes among values by their names, those of a config among them; a value's own name counts for more."""
    configs = (value for name, value in named.items() if name in PARAMETERS and hasattr(value, "__dict__"))
    found = {name: size for config in configs for name, size in sizes_in(vars(config)).items()}
    for word, value in named.items():
        name = size_named(word)
        if name in OWN_SIZES and isinstance(value, int) and not isinstance(value, bool):
            found[name] = value
    return found


def first_width(module: nn.Module) -> int | None:
    """The width of the rows that a module's first layer takes; None where no layer says so."""
    return next((w for part in module.modules() if (w := _width(part)) is not None), None)


def own_width(module: nn.Module) -> int | None:
    """The width of its first layer; where no layer says so, that of its first table of weights."""
    width = first_width(module)
    tables = (parameter.shape[0] for parameter in module.parameters() if parameter.dim() == len("DD"))
    return next(tables, None) if width is None else width


def _width(part: nn.Module) -> int | None:
    """The width of the rows that a layer takes, where it is one of torch's that say so."""
    from torch import nn

    if isinstance(part, nn.Linear):
        return part.in_features
    if isinstance(part, nn.LayerNorm) and len(part.normalized_shape) == 1:
        return part.normalized_shape[0]
    return part.embed_dim if isinstance(part, nn.MultiheadAttention) else None
