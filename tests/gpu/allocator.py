"""What a pass really allocates: read off the allocator here, sharing nothing with attnprof's own measurement."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from attnprof.device import device_named
from attnprof.measure.memory import peak
from attnprof.measure.passes import passage
from attnprof.records import Pass

BLOCK = 512  # what CUDA's caching allocator rounds to


@dataclass(frozen=True, slots=True)
class Spent:
    """Bytes over what lived before: the peak, what the forward left alive, and the output that is part of that."""

    peak_bytes: int
    left_bytes: int | None
    output_bytes: int | None
    method: str

    def saved_off(self, predicted: int) -> float | None:
        """How far a prediction of saved bytes is from what is left; the output may be among the saved or beside it."""
        if self.left_bytes is None or self.output_bytes is None:
            return None
        return min((off(predicted, self.left_bytes - beside) for beside in (0, self.output_bytes)), key=abs)


def off(predicted: int, found: int) -> float:
    """A prediction's relative error; of less than a block, none."""
    if abs(predicted - found) < BLOCK:
        return 0.0
    return predicted / found - 1 if found else float("inf")


def spent(module: nn.Module, inputs: Sequence[Tensor], pass_: Pass, device: str) -> Spent:
    """One pass, after two that take libraries' workspaces and build lazy tables."""
    if device == "cpu":
        return _on_host(module, inputs, pass_)
    module.train(pass_ == "train")
    leaves = [x.detach().requires_grad_(pass_ == "train" and x.is_floating_point()) for x in inputs]
    grown = [*leaves, *module.parameters()]
    grad = None
    for _ in range(2):
        grad = _once(module, leaves, grown, pass_, grad)[0]
    gc.collect()
    torch.cuda.synchronize()
    before = torch.cuda.memory_stats()["allocated_bytes.all.current"]
    torch.cuda.reset_peak_memory_stats()
    _, left, output = _once(module, leaves, grown, pass_, grad)
    torch.cuda.synchronize()
    top = torch.cuda.memory_stats()["allocated_bytes.all.peak"]
    trained = pass_ == "train"
    return Spent(top - before, left - before if trained else None, output if trained else None, "memory_stats of CUDA")


def _once(
    module: nn.Module, leaves: Sequence[Tensor], grown: Sequence[Tensor], pass_: Pass, grad: Tensor | None
) -> tuple[Tensor | None, int, int]:
    """Run a pass; grad_output (made after the first forward), bytes alive after the forward, bytes of the output."""
    for leaf in grown:
        leaf.grad = None
    with torch.set_grad_enabled(pass_ == "train"):
        output = first(module(*leaves))
    left, size = torch.cuda.memory_stats()["allocated_bytes.all.current"], output.untyped_storage().nbytes()
    if pass_ == "train":
        grad = torch.randn_like(output) if grad is None else grad
        output.backward(grad)
        for leaf in grown:
            leaf.grad = None
    return grad, left, size


def first(output: Any) -> Tensor:
    """The tensor that the backward starts from."""
    return output if isinstance(output, Tensor) else next(iter(output))


def _on_host(module: nn.Module, inputs: Sequence[Tensor], pass_: Pass) -> Spent:
    """A host's allocator has no counters: the profiler's events, which attnprof reads too."""
    ready = passage(module, inputs, pass_)
    saved, top = ready.saved_bytes, peak(ready, device_named("cpu")).peak_bytes
    return Spent(top, saved, None if saved is None else 0, "profiler's allocation events")
