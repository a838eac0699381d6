"""What the CPU allocator really did during a call: the oracle of predicted peaks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile, record_function

from tests.fakes.saved_hooks import first_tensor

STEP = "the step that is measured"


def peak_of(call: Callable[[], Any], start: str | None = None) -> int:
    """Highest live bytes during a call, beyond what lived before it, from the allocator's own events.

    With `start`, the name of a `record_function` in the call: from there on, beyond what lived there.
    """
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        kept = call()
    traced: Any = profiler.profiler
    events = sorted(traced.kineto_results.events(), key=lambda e: e.start_ns())
    del kept
    live = peak = base = 0
    for event in events:
        if start is not None and event.name() == start:
            base = peak = live
        if event.name() == "[memory]":
            live += event.nbytes()
            peak = max(peak, live)
    return peak - base


def peak_of_step(make: Callable[[], Any], step: Callable[[Any], Any]) -> int:
    """The same of a step on a state, which may let go of parts of it: what was there before profiling is not seen."""

    def call() -> Any:
        state = make()
        with record_function(STEP):
            return step(state)

    return peak_of(call, STEP)


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
