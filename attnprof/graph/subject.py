"""What the metrics are computed of: a pattern, its stack, and the reach that one engine found."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from attnprof.graph.blocked import Blocked, blocked_form
from attnprof.graph.ladder import solve
from attnprof.graph.reach import Ask, Certainty, Reach
from attnprof.graph.stack import LEAST_BLOCK, Slotted, Stack, signature
from attnprof.pattern import Kernel, Pattern, Slices
from attnprof.pattern.slices import Ints
from attnprof.words import EngineName

Relation = Slices | Blocked


@dataclass(frozen=True, eq=False)
class Subject:
    """One pattern at one length, with what is asked of it. `edges_text` and `edges_value` are its closed count.

    `redrawn`: its layers are random draws of one kind, so that the first stands for each.
    """

    pattern: Pattern
    ask: Ask = field(default_factory=Ask)
    engine: EngineName = EngineName.AUTO
    edges_text: str = ""
    edges_value: int | None = None
    depth: int = 12
    redrawn: bool = False

    @property
    def n(self) -> int:
        """Tokens."""
        return self.pattern.n

    @cached_property
    def stack(self) -> Stack:
        """The layers, heads united."""
        return Stack.of(self.pattern)

    @cached_property
    def reach(self) -> Reach:
        """Who reaches whom."""
        return solve(self.stack, self.ask, self.engine)

    @cached_property
    def kernel(self) -> Kernel | None:
        """The kernel, where the scheme is one."""
        expr = self.pattern.expr()
        return expr if isinstance(expr, Kernel) else None

    @property
    def slotted(self) -> bool:
        """Whether a layer goes through slots."""
        return any(isinstance(part, Slotted) for part in self.stack.parts)

    @cached_property
    def _relations(self) -> dict[Hashable, Relation]:
        return {}

    def relation(self, layer: int = 0, head: int = 0) -> Relation:
        """The edges of one layer and head: as blocks where it is made of blocks."""
        expr = self.pattern.expr(layer, head)
        name = signature(expr)
        if name not in self._relations:
            blocks = blocked_form(expr, self.n)
            usable = blocks is not None and LEAST_BLOCK <= blocks.size < self.n
            self._relations[name] = blocks if usable and blocks is not None else expr.slices(self.n)
        return self._relations[name]

    def heads(self, layer: int) -> list[Relation]:
        """The edges of every head of a layer; heads that share a pattern share the object."""
        return [self.relation(layer, head) for head in range(self.pattern.heads)]

    def has_edges(self) -> bool:
        """Whether tokens read tokens: no slots, no kernel."""
        return self.kernel is None and not self.slotted


class Facts(NamedTuple):
    """What a metric found: values by their JSON keys, how sure each is (exact unless said), why one is missing."""

    values: Mapping[str, Any]
    certainty: Mapping[str, Certainty] = {}
    reasons: Mapping[str, str] = {}
    flags: tuple[str, ...] = ()


def spread(values: Ints) -> dict[str, float]:
    """The least, mean and greatest of some counts."""
    return {"min": int(values.min()), "mean": float(values.mean()), "max": int(values.max())}
