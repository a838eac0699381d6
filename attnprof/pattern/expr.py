"""How patterns combine: union, sum (separate softmaxes), the past."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any

import numpy as np

from attnprof.errors import AttnprofError
from attnprof.pattern.slices import Slices

AT_LEAST_ONE = ("size", "stride", "dilation", "across", "side", "width", "window")
AsArray = Callable[[np.ndarray], Any]


class Expr:
    """A set of edges over `n` tokens, as slices and, where there is one, as an arithmetic rule.

    `a | b` is the union (one softmax over both); `a + b` keeps both (two softmaxes, or two rounds of one).
    """

    def __post_init__(self) -> None:
        for name in AT_LEAST_ONE:
            value = getattr(self, name, 1)
            if isinstance(value, (int, np.integer)) and value < 1:
                raise AttnprofError(
                    f"{type(self).__name__} has {name} = {value}, but a {name} is at least 1", hint=f"{name}=1, or more"
                )

    def slices(self, n: int) -> Slices:
        """The edges as slices, none named twice."""
        raise NotImplementedError

    def edges(self, n: int) -> int:
        """Number of edges: those of the slices, unless it is known without them."""
        return self.slices(n).edges

    def rule(self, i: Any, j: Any, asarray: AsArray = np.asarray) -> Any | None:
        """Whether query `i` reads key `j`, elementwise for integer arrays or tensors; None where no rule exists.

        Uses `& | ~` and arithmetic only, so that it also traces under `vmap`; lookup tables go through `asarray`.
        """
        return None

    def bound(self, asarray: AsArray) -> Callable[[Any, Any], Any]:
        """The rule with its lookup tables already made, for a tracer that must see no NumPy."""
        return lambda i, j: self.rule(i, j, asarray)

    def __or__(self, other: Expr) -> Expr:
        return Union(_flat(Union, self) + _flat(Union, other))

    def __add__(self, other: Expr) -> Expr:
        return Sum(_flat(Sum, self) + _flat(Sum, other))

    def past(self) -> Expr:
        """The part of these edges that reads nothing of the future (j <= i)."""
        return Past(self)

    def terms(self) -> tuple[Expr, ...]:
        """The softmaxes that this pattern is computed in: one, unless it is a sum."""
        return (self,)


def _flat(kind: type, expr: Expr) -> tuple[Expr, ...]:
    return expr.parts if isinstance(expr, (Union, Sum)) and type(expr) is kind else (expr,)


@dataclass(frozen=True, eq=False)
class Union(Expr):
    """Edges of any part, each once."""

    parts: tuple[Expr, ...]

    def slices(self, n: int) -> Slices:
        first, *rest = (part.slices(n) for part in self.parts)
        return first.joined(*rest).disjoint()

    def rule(self, i: Any, j: Any, asarray: AsArray = np.asarray) -> Any | None:
        found = None
        for part in self.parts:
            rule = part.rule(i, j, asarray)
            if rule is None:
                return None
            found = rule if found is None else found | rule
        return found

    def bound(self, asarray: AsArray) -> Callable[[Any, Any], Any]:
        rules = [part.bound(asarray) for part in self.parts]
        return lambda i, j: reduce(or_, [rule(i, j) for rule in rules])


@dataclass(frozen=True, eq=False)
class Sum(Expr):
    """Edges of several softmaxes: as a set their union, for cost each on its own."""

    parts: tuple[Expr, ...]

    def slices(self, n: int) -> Slices:
        return Union(self.parts).slices(n)

    def rule(self, i: Any, j: Any, asarray: AsArray = np.asarray) -> Any | None:
        return Union(self.parts).rule(i, j, asarray)

    def terms(self) -> tuple[Expr, ...]:
        return self.parts


@dataclass(frozen=True, eq=False)
class Past(Expr):
    """The part of a pattern with j <= i."""

    inner: Expr

    def slices(self, n: int) -> Slices:
        return self.inner.slices(n).past()

    def rule(self, i: Any, j: Any, asarray: AsArray = np.asarray) -> Any | None:
        rule = self.inner.rule(i, j, asarray)
        return None if rule is None else rule & (j <= i)
