"""Edges that are given one by one, or drawn: no shape stands behind them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from attnprof.errors import AttnprofError
from attnprof.pattern.expr import Expr
from attnprof.pattern.slices import Slices


@dataclass(frozen=True, eq=False)
class Explicit(Expr):
    """Edges given as slices: a captured mask, a CSR file, a tabulated rule, a drawn sample; each counts once."""

    given: Slices

    def slices(self, n: int) -> Slices:
        return _square("Explicit", self.given, n)


@dataclass(frozen=True, eq=False)
class Drawn(Expr):
    """A random sample of edges, drawn when somebody asks for it: `draw()` gives its slices, `count()` their number."""

    draw: Callable[[], Slices]
    count: Callable[[], int] | None = None

    def slices(self, n: int) -> Slices:
        return _square("Drawn", self.draw(), n)

    def edges(self, n: int) -> int:
        return self.slices(n).edges if self.count is None else self.count()


def _square(kind: str, given: Slices, n: int) -> Slices:
    """The slices with no edge named twice. Raises `AttnprofError` where they are of another length."""
    if (given.n, given.m) != (n, n):
        raise AttnprofError(
            f"{kind} holds {given.n} queries over {given.m} keys, not {n} of each", hint=f"make its slices for n = {n}"
        )
    return given.disjoint()
