"""Integer counts at chosen lengths and parameters, each made once: what a formula is drawn through."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping
from typing import Any, cast

from attnprof.cost.built import build
from attnprof.cost.counting import run_pass
from attnprof.cost.decode import state_sizes
from attnprof.errors import Unsupported
from attnprof.model import Shape, Value
from attnprof.scheme import Target

FIGURES = ("forward_flops", "forward_core", "train_flops", "train_core", "saved_bytes", "param_bytes")
STATE = "state_bytes"
DRAWN = "exact interpolation through integer counts"
BUDGET = 6000
UNIT = 512
FIRST = 8


class Sampler:
    """Counts a target at any length and with any of its parameters changed, as long as operators are left to spend."""

    def __init__(self, target: Target, shape: Shape) -> None:
        self.target, self.shape = target, shape
        self.seen: dict[tuple[Any, ...], dict[str, int] | None] = {}
        self.calls = self.longest = 0

    def affords(self, runs: int) -> bool:
        """Whether so many more runs stay within the operators that a closed form may cost."""
        return self.calls + runs * self.longest <= BUDGET

    def at(self, n: int, changed: Mapping[str, Value] | None = None) -> dict[str, int] | None:
        """Every figure at length n; None where the target cannot be built or run there, or has uncounted operators."""
        changed = dict(changed or {})
        key = (n, *sorted(changed.items()))
        if key not in self.seen:
            try:
                self.seen[key] = self._count(n, changed)
            except (Unsupported, ValueError, RuntimeError, AssertionError, TypeError, IndexError):
                self.seen[key] = None  # a changed parameter may well be one that the scheme refuses
        return self.seen[key]

    def _count(self, n: int, changed: Mapping[str, Value]) -> dict[str, int] | None:
        shape = self.shape.replace(n=n)
        built = build(with_parameters(self.target, changed), shape)
        run = run_pass(built, shape, "train", built.origin(shape))
        self.calls += run.calls
        self.longest = max(self.longest, run.calls)
        if run.tally.uncounted:
            return None
        figures = {
            "forward_flops": run.forward_flops,
            "forward_core": run.forward_core,
            "train_flops": run.tally.flops,
            "train_core": run.tally.core,
            "saved_bytes": run.saved_bytes,
            "param_bytes": built.param_bytes,
        }
        with contextlib.suppress(Unsupported):
            figures[STATE] = state_sizes(built, n)[STATE]
        return figures


def with_parameters(target: Target, changed: Mapping[str, Value]) -> Target:
    """The target with some of its parameters replaced."""
    if not changed:
        return target
    copy: Any = dataclasses.replace(cast(Any, target), parameters={**target.parameters, **changed})
    return copy
