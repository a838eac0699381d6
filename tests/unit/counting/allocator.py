"""What the CPU allocator really did during a call: the oracle of predicted peaks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from tests.fakes.saved_hooks import first_tensor


def peak_of(call: Callable[[], Any]) -> int:
    """Highest live bytes during a call, beyond what lived before it, from the allocator's own events."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        kept = call()
    traced: Any = profiler.profiler
    events = [e for e in traced.kineto_results.events() if e.name() == "[memory]"]
    del kept
    live = peak = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        live += event.nbytes()
        peak = max(peak, live)
    return peak


def measured_peak(module: nn.Module, inputs: tuple[Any, ...], pass_: str) -> int:
    """The allocator's peak of one pass of a module on real tensors, after a pass to warm up."""

    def forward() -> Any:
        with torch.no_grad():
            return module(*inputs)

    if pass_ == "forward":
        forward()
        return peak_of(forward)
    leaves = tuple(x.requires_grad_() if isinstance(x, torch.Tensor) and x.is_floating_point() else x for x in inputs)
    grad = torch.randn_like(first_tensor(module(*leaves)))

    def train() -> Any:
        out = first_tensor(module(*leaves))
        out.backward(grad)
        return out

    train()
    module.zero_grad(set_to_none=True)
    for leaf in leaves:
        leaf.grad = None
    return peak_of(train)
