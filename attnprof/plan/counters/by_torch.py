"""torch's own FlopCounterMode: a dispatch mode with formulas of its own; multiply-add = 2."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from attnprof.plan.counters import CounterReading


def forward(module: nn.Module, inputs: tuple[Any, ...]) -> CounterReading:
    """Its total over a forward without a graph."""
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        module(*inputs)
    return reading(counter)


def train(module: nn.Module, inputs: tuple[Any, ...]) -> CounterReading:
    """Its total over a forward and a backward, the inputs' gradients included."""
    leaves = [x.detach().requires_grad_() if isinstance(x, Tensor) and x.is_floating_point() else x for x in inputs]
    counter = FlopCounterMode(display=False)
    with counter:
        out = module(*leaves)
        torch.autograd.backward(out, torch.ones_like(out))
    return reading(counter)


def reading(counter: FlopCounterMode) -> CounterReading:
    """Its total, and its figures by operator under the names that attnprof's certificates use."""
    counted = counter.get_flop_counts().get("Global", {})
    names = {str(operator).removeprefix("aten."): flops for operator, flops in counted.items()}
    return CounterReading(counter.get_total_flops(), names)
