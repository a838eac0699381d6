"""calflops: patches torch functions and hooks modules; its "flops" count a multiply-add as 2."""

from __future__ import annotations

import importlib
from typing import Any

from torch import nn


def forward(module: nn.Module, inputs: tuple[Any, ...]) -> int:
    """Its figure for a forward."""
    calculate = importlib.import_module("calflops").calculate_flops
    flops, _, _ = calculate(
        model=module, args=list(inputs), print_results=False, print_detailed=False, output_as_string=False
    )
    return int(flops)
