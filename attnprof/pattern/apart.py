"""Where patterns are evaluated: on real numbers, whatever tensors are made of around them.

A count runs on fake tensors, a second opinion on meta ones, a measurement on a device. What a user's pattern does with
torch (a tabulated mask_mod, documents drawn by `torch.randint`) must see none of that. Nothing here imports torch: a
process that has not loaded it has no modes to leave.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


@contextmanager
def real_numbers() -> Iterator[None]:
    """Leave every dispatch mode (fake tensors, counters) and every default device; tensors are real and on the CPU."""
    torch = sys.modules.get("torch")
    if torch is None or not hasattr(torch, "device"):
        yield
        return
    from attnprof.torch_private import without_modes

    with without_modes(), torch.device("cpu"):
        yield


def on_real_numbers(call: Callable[P, R]) -> Callable[P, R]:
    """The function, always run in `real_numbers`."""

    @wraps(call)
    def apart(*args: P.args, **kwargs: P.kwargs) -> R:
        with real_numbers():
            return call(*args, **kwargs)

    return apart
