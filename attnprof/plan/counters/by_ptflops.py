"""ptflops: hooks modules and patches functions; multiply-adds."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

from torch import nn


def forward(module: nn.Module, inputs: tuple[Any, ...]) -> int:
    """Twice its multiply-adds; it takes inputs by name."""
    names = list(inspect.signature(module.forward).parameters)
    named = dict(zip(names, inputs, strict=False)) if len(inputs) == len(names) else None
    made = named if named is not None else inputs[0]
    info = importlib.import_module("ptflops").get_model_complexity_info
    macs, _ = info(module, (1,), input_constructor=lambda _: made, as_strings=False, print_per_layer_stat=False)
    if macs is None:
        raise RuntimeError("it gave no figure")
    return int(2 * macs)
