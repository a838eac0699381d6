"""What a point must cost, known without a device: counted on fake tensors, operator by operator."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from attnprof.counting.counted import Counted, count
    from attnprof.counting.registry import OperatorWork, register

__all__ = ["Counted", "OperatorWork", "count", "register"]

_HOMES = {
    "count": "attnprof.counting.counted",
    "Counted": "attnprof.counting.counted",
    "OperatorWork": "attnprof.counting.formulas",
    "register": "attnprof.counting.formulas",
}


def __getattr__(name: str) -> object:
    """Load the torch half of this room only when something of it is asked for."""
    import importlib

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
