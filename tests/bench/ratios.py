"""Speed as a ratio of two callables measured in turns, so that the machine's noise hits both."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

ROUNDS = 5
Run = Callable[[], object]
Clock = Callable[[], float]


def ratio(theirs: Run, ours: Run, rounds: int = ROUNDS) -> float:
    """How many times as long theirs takes: the median over rounds of one run each, after a warm-up."""
    return ratios(theirs, [ours], rounds)[0]


def ratios(theirs: Run, ours: Sequence[Run], rounds: int = ROUNDS, clock: Clock = time.perf_counter) -> list[float]:
    """The same of several that take turns with one of theirs."""
    for run in (theirs, *ours):
        run()
    found = []
    for _ in range(rounds):
        them = _seconds(theirs, clock)
        found.append([them / _seconds(run, clock) for run in ours])
    return [statistics.median(each) for each in zip(*found, strict=True)]


def _seconds(run: Run, clock: Clock) -> float:
    start = clock()
    run()
    return clock() - start


def passes(module: nn.Module | Callable[..., Tensor], inputs: Sequence[Tensor], pass_: str) -> Run:
    """A forward without a graph, or a forward and a backward into every input and parameter."""
    if pass_ == "forward":
        plain = [x.detach() for x in inputs]

        def forward() -> object:
            with torch.no_grad():
                return module(*plain)

        return forward
    leaves = [x.detach().requires_grad_() for x in inputs]
    weights = list(module.parameters()) if isinstance(module, nn.Module) else []
    with torch.no_grad():
        shape = _first(module(*leaves)).shape
    grad = torch.ones(shape, dtype=leaves[0].dtype)

    def train() -> object:
        for leaf in (*leaves, *weights):
            leaf.grad = None
        _first(module(*leaves)).backward(grad)
        return None

    return train


def _first(output: Any) -> Tensor:
    return output[0] if isinstance(output, tuple) else output


def benchmarked(benchmark: Any, theirs: Run, ours: Run, **about: object) -> float:
    """Record ours with pytest-benchmark, and the ratio to theirs beside it."""
    found = ratio(theirs, ours)
    benchmark.extra_info.update(about, ratio=round(found, 3))
    benchmark.pedantic(ours, rounds=3, iterations=1)
    return found
