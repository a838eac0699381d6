"""fvcore: traces with torch.jit; its "flops" are multiply-adds."""

from __future__ import annotations

from typing import Any

from torch import nn

from attnprof.cost.second_opinion import traced


def forward(module: nn.Module, inputs: tuple[Any, ...]) -> int:
    """Twice fvcore's figure."""
    return traced(module, inputs)[0]
