"""Integer counts at chosen lengths and parameters, each made once: what a formula is drawn through."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Mapping
from typing import Any, cast

from attnprof.contracts import Target
from attnprof.counting.believed import as_believed, built_to_trust
from attnprof.counting.built import Built
from attnprof.counting.decode_step import stated_sizes
from attnprof.counting.running import CountedRun, run_pass
from attnprof.errors import AttnprofError, Unsupported
from attnprof.records import JsonObject
from attnprof.shapes import Shape
from attnprof.units import Value
from attnprof.usercode import own_mistakes
from attnprof.words import Pass

FIGURES = ("forward_flops", "forward_core", "train_flops", "train_core", "saved_bytes", "param_bytes")
STATE = "state_bytes"
DRAWN = "exact interpolation through integer counts"
BUDGET = 5500
ASKED_BUDGET = 40000
SIZES = ("b", "h", "d")
UNIT = 512
FIRST = 8
LARGEST_FACTOR = 15  # a larger one is no block, and would make lengths that nobody has


class Sampler:
    """Counts a target at any length and with any of its parameters changed, as long as operators are left to spend."""

    def __init__(self, target: Target, shape: Shape, budget: int = BUDGET) -> None:
        self.target, self.shape, self.budget = target, shape, budget
        self.unit = UNIT
        self.alike: bool | None = None
        self.seen: dict[tuple[Any, ...], dict[str, int] | None] = {}
        self.calls = self.longest = 0
        self.refused = ""

    def _forward(self, built: Built, shape: Shape, trained: CountedRun) -> tuple[int, int]:
        """FLOPs of a forward without a graph, and of its core: counted apart where a training forward does more."""
        if self.alike:
            return trained.forward_flops, trained.forward_core
        run = run_pass(built, shape, Pass.FORWARD, built.origin(shape))
        self.calls += run.calls
        figures = run.tally.flops, run.tally.core
        self.alike = self.alike is None and figures == (trained.forward_flops, trained.forward_core)
        return figures

    @property
    def first(self) -> int:
        """The shortest length that forms are drawn from: long enough for edges to be apart."""
        return FIRST * self.unit

    def affords(self, runs: int) -> bool:
        """Whether so many more runs stay within the operators that a closed form may cost."""
        return self.calls + runs * self.longest <= self.budget

    def at(self, n: int, changed: Mapping[str, Value] | None = None) -> dict[str, int] | None:
        """Every figure at length n; None where the target refuses it, or has uncounted operators."""
        changed = dict(changed or {})
        key = (n, *sorted(changed.items()))
        if key not in self.seen:
            try:
                with as_believed(self.target), own_mistakes(self.target, self.shape.replace(n=n)):
                    self.seen[key] = self._count(n, changed)
            except AttnprofError as error:
                self.seen[key] = None  # a changed parameter may well be one that the scheme refuses
                self.refused = self.refused or f"n = {n}: {error.message}"
        return self.seen[key]

    def _count(self, n: int, changed: Mapping[str, Value]) -> dict[str, int] | None:
        sizes = {name: value for name, value in changed.items() if name in SIZES}
        shape = resized(self.shape.replace(n=n), sizes)
        own = {name: value for name, value in changed.items() if name not in SIZES}
        built = built_to_trust(with_parameters(self.target, own), shape)
        run = run_pass(built, shape, Pass.TRAIN, built.origin(shape))
        self.calls += run.calls
        self.longest = max(self.longest, run.calls)
        if run.tally.uncounted:
            return None
        flops, core = self._forward(built, shape, run)
        figures = {
            "forward_flops": flops,
            "forward_core": core,
            "train_flops": run.tally.flops,
            "train_core": run.tally.core,
            "saved_bytes": run.saved_bytes,
            "param_bytes": built.param_bytes,
        }
        with contextlib.suppress(Unsupported):
            figures[STATE] = stated_sizes(built, n)[STATE]
        return figures


def coarser(target: Target) -> int:
    """A unit of lengths that those block sizes and factors of a scheme divide which do not divide `UNIT`."""
    resolved = target.resolve(FIRST * UNIT)
    odd = {value // math.gcd(value, UNIT) for value in resolved.values() if type(value) is int and value > 0}
    return UNIT * math.lcm(*(value for value in odd if value <= LARGEST_FACTOR))


def resized(shape: Shape, sizes: JsonObject) -> Shape:
    """The shape with another batch `b`, other heads `h` or another head width `d`; the model's width follows as h d."""
    if not sizes:
        return shape
    heads, width = sizes.get("h", shape.heads), sizes.get("d", shape.d)
    groups = None if shape.kv_heads is None else shape.kv_heads * heads // shape.heads
    return shape.replace(batch=sizes.get("b", shape.batch), heads=heads, kv_heads=groups, dim=heads * width)


def size_of(shape: Shape, name: str) -> int:
    """The value of `b`, `h` or `d` in a shape."""
    return {"b": shape.batch, "h": shape.heads, "d": shape.d}[name]


def with_parameters(target: Target, changed: Mapping[str, Value]) -> Target:
    """The target with some of its parameters replaced."""
    if not changed:
        return target
    copy: Any = dataclasses.replace(cast(Any, target), parameters={**target.parameters, **changed})
    return copy
