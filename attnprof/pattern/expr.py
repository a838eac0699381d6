"""How patterns combine: union, sum (separate softmaxes), the past."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import NamedTuple

import numpy as np

from attnprof.errors import AttnprofError, TooLarge
from attnprof.pattern.apart import on_real_numbers
from attnprof.pattern.slices import Bools, Ints, Slices

AT_LEAST_ONE = ("size", "stride", "dilation", "across", "side", "width", "window")
AsArray = Callable[[np.ndarray], np.ndarray]
EdgeRule = Callable[[Ints, Ints], Bools | None]
Reader = Callable[[int, int], Slices]
PIECE_ROWS, PIECE_SLICES, MOST_SLICES = 2048, 1 << 17, 1 << 25


class Globals(NamedTuple):
    """The tokens that a pattern declares to be global, `[n]` each: `rows` read all, `columns` are read by all."""

    rows: Bools
    columns: Bools

    @classmethod
    def none(cls, n: int) -> Globals:
        """No token is."""
        return cls(np.zeros(n, dtype=np.bool_), np.zeros(n, dtype=np.bool_))

    def joined(self, other: Globals) -> Globals:
        """Those of either."""
        return Globals(self.rows | other.rows, self.columns | other.columns)


class Expr:
    """A set of edges over `n` tokens, as slices and, where there is one, as an arithmetic rule.

    `a | b` is the union (one softmax over both); `a + b` keeps both (two softmaxes, or two rounds of one).

    A kind defines `of_rows(n, first, last)`, or `slices(n)` alone where its edges come all at once. Either is evaluated
    on real numbers, whatever modes tensors are made under where somebody asks.
    """

    def __init_subclass__(cls, **options: object) -> None:
        super().__init_subclass__(**options)
        own = vars(cls)
        if "slices" in own and "of_rows" not in own and "reader" not in own:
            setattr(cls, "reader", _cut)  # noqa: B010
        for name in ("slices", "of_rows", "reader", "edges"):
            if name in own:
                setattr(cls, name, on_real_numbers(own[name]))

    def __post_init__(self) -> None:
        for name in AT_LEAST_ONE:
            value = getattr(self, name, 1)
            if isinstance(value, (int, np.integer)) and value < 1:
                raise AttnprofError(
                    f"{type(self).__name__} has {name} = {value}, but a {name} is at least 1", hint=f"{name}=1, or more"
                )

    def slices(self, n: int) -> Slices:
        """The edges as slices, none named twice."""
        return self.reader(n)(0, n)

    def of_rows(self, n: int, first: int, last: int) -> Slices:
        """The slices of the queries `first <= i < last` alone, none named twice."""
        raise NotImplementedError

    def reader(self, n: int) -> Reader:
        """`of_rows` at one length, with what all rows have in common made once."""
        return lambda first, last: self.of_rows(n, first, last)

    def pieces(self, n: int) -> Iterator[Slices]:
        """The slices of some rows after the other: all of them, without ever holding more than a few megabytes.

        Raises `TooLarge` for a pattern so ragged that going through it would take minutes.
        """
        read, first, count, seen = self.reader(n), 0, min(64, n), 0
        while first < n:
            piece = read(first, min(first + count, n))
            first, seen = first + count, seen + len(piece.row)
            if seen > MOST_SLICES or seen // first * n > 4 * MOST_SLICES:
                raise TooLarge(
                    f"{type(self).__name__} at n = {n} is made of more than {MOST_SLICES:,} separate runs of keys",
                    hint="a shorter n, or a pattern of fewer overlapping primitives",
                )
            yield piece
            count = max(1, min(PIECE_ROWS, PIECE_SLICES * count // max(len(piece.row), 1)))

    def by_lag(self, n: int) -> Bools | None:
        """Which lags i - j are read, `[2 n - 1]` from -(n - 1) on; None where edges depend on more than the lag."""
        return None

    def edges(self, n: int) -> int:
        """Number of edges, counted by lag or by pieces: no list of them is made."""
        lags = self.by_lag(n)
        if lags is None:
            return sum(piece.edges for piece in self.pieces(n))
        return int((n - np.abs(lags_of(n)))[lags].sum())

    def degrees(self, n: int) -> Ints:
        """Keys that each query reads, `[n]`, counted by lag or by pieces."""
        lags = self.by_lag(n)
        if lags is None:
            return sum((piece.out_degree() for piece in self.pieces(n)), np.zeros(n, dtype=np.int64))
        sums: Ints = np.concatenate([[0], np.cumsum(lags)])
        found: Ints = sums[n:] - sums[:n]
        return found

    def rule(self, i: Ints, j: Ints, asarray: AsArray = np.asarray) -> Bools | None:
        """Whether query `i` reads key `j`, elementwise for integer arrays or tensors; None where no rule exists.

        Uses `& | ~` and arithmetic only, so that it also traces under `vmap`; lookup tables go through `asarray`.
        """
        return None

    def bound(self, asarray: AsArray) -> EdgeRule:
        """The rule with its lookup tables already made, for a tracer that must see no NumPy."""
        return lambda i, j: self.rule(i, j, asarray)

    def declares(self, n: int) -> Globals:
        """The global tokens that the expression names as such: never guessed from what its edges come to."""
        return Globals.none(n)

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


def lags_of(n: int) -> np.ndarray:
    """The lags i - j that there are at length n, ascending, `[2 n - 1]`."""
    return np.arange(1 - n, n)


def _cut(self: Expr, n: int) -> Reader:
    """The rows of a kind that knows its slices only as a whole."""
    held = self.slices(n)
    return held.between


def _flat(kind: type, expr: Expr) -> tuple[Expr, ...]:
    return expr.parts if isinstance(expr, (Union, Sum)) and type(expr) is kind else (expr,)


@dataclass(frozen=True, eq=False)
class Union(Expr):
    """Edges of any part, each once."""

    parts: tuple[Expr, ...]

    def reader(self, n: int) -> Reader:
        readers = [part.reader(n) for part in self.parts]

        def read(first: int, last: int) -> Slices:
            one, *others = (each(first, last) for each in readers)
            return one.joined(*others).disjoint()

        return read

    def by_lag(self, n: int) -> Bools | None:
        found = [part.by_lag(n) for part in self.parts]
        known = [lags for lags in found if lags is not None]
        return reduce(or_, known) if len(known) == len(found) else None

    def rule(self, i: Ints, j: Ints, asarray: AsArray = np.asarray) -> Bools | None:
        found = None
        for part in self.parts:
            rule = part.rule(i, j, asarray)
            if rule is None:
                return None
            found = rule if found is None else found | rule
        return found

    def bound(self, asarray: AsArray) -> EdgeRule:
        rules = [part.bound(asarray) for part in self.parts]
        return lambda i, j: reduce(or_, [rule(i, j) for rule in rules])

    def declares(self, n: int) -> Globals:
        return reduce(Globals.joined, [part.declares(n) for part in self.parts])


@dataclass(frozen=True, eq=False)
class Sum(Expr):
    """Edges of several softmaxes: as a set their union, for cost each on its own."""

    parts: tuple[Expr, ...]

    def reader(self, n: int) -> Reader:
        return Union(self.parts).reader(n)

    def by_lag(self, n: int) -> Bools | None:
        return Union(self.parts).by_lag(n)

    def rule(self, i: Ints, j: Ints, asarray: AsArray = np.asarray) -> Bools | None:
        return Union(self.parts).rule(i, j, asarray)

    def declares(self, n: int) -> Globals:
        return Union(self.parts).declares(n)

    def terms(self) -> tuple[Expr, ...]:
        return self.parts


@dataclass(frozen=True, eq=False)
class Past(Expr):
    """The part of a pattern with j <= i."""

    inner: Expr

    def reader(self, n: int) -> Reader:
        read = self.inner.reader(n)
        return lambda first, last: read(first, last).past()

    def by_lag(self, n: int) -> Bools | None:
        inner = self.inner.by_lag(n)
        return None if inner is None else inner & (lags_of(n) >= 0)

    def rule(self, i: Ints, j: Ints, asarray: AsArray = np.asarray) -> Bools | None:
        rule = self.inner.rule(i, j, asarray)
        return None if rule is None else rule & (j <= i)

    def declares(self, n: int) -> Globals:
        return self.inner.declares(n)
