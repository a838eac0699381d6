"""What a module returns: the tensors in it, and the one that is its output."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from attnprof.errors import AttnprofError
from attnprof.torch_private import leaves


def tensors_in(value: Any) -> list[Tensor]:
    """The tensors of a nested structure, in order; structures are those that torch's pytree knows."""
    return [t for t in leaves(value) if isinstance(t, Tensor)]


def first_output(returned: Any) -> Tensor:
    """The output of a module that may return several things: the first floating-point or complex tensor among them.

    Counting, checking and timing start their backward from it. Raises `AttnprofError` where there is none.
    """
    found = next((t for t in tensors_in(returned) if t.is_floating_point() or t.is_complex()), None)
    if found is None:
        raise AttnprofError(
            f"the module returned {type(returned).__name__}, in which there is no floating-point tensor",
            hint="return a tensor, or a tuple whose first tensor is the output",
        )
    return found
