"""fvcore: traces with torch.jit; its "flops" are multiply-adds."""

from __future__ import annotations

from typing import Any

from torch import nn

from attnprof.counting.second_opinion import analysed
from attnprof.plan.counters import CounterReading


def forward(module: nn.Module, inputs: tuple[Any, ...]) -> CounterReading:
    """Twice fvcore's figures, and the operators that it skipped."""
    analysis = analysed(module, inputs)
    total = int(2 * analysis.total())
    skipped = tuple(name.removeprefix("aten::") for name in analysis.unsupported_ops())
    counted = {name: int(2 * flops) for name, flops in analysis.by_operator().items()}
    return CounterReading(total, counted, skipped)
