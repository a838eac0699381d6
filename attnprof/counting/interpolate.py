"""Exact interpolation: a formula through integer counts, with spare counts that must agree."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Mapping, Sequence
from fractions import Fraction

Monomial = tuple[int, ...]
SamplePoint = tuple[int, ...]
Terms = Mapping[Monomial, Fraction]

SPARE = 2


def power(value: int, exponent: int) -> Fraction:
    """`value ** exponent`, exactly, the exponent negative or not."""
    return Fraction(value) ** exponent


def fit(samples: Mapping[SamplePoint, int], basis: Sequence[Monomial]) -> Terms | None:
    """Coefficients of the monomials that give every sample exactly; None where no choice of them does.

    Needs `SPARE` more samples than monomials, so that a wrong basis is found out.
    """
    solution = solve(_rows(tuple(samples), tuple(basis)), [Fraction(v) for v in samples.values()])
    if solution is None or len(samples) < len(basis) + SPARE:
        return None
    return {m: c for m, c in zip(basis, solution, strict=True) if c}


@functools.lru_cache(maxsize=4)
def _rows(points: tuple[SamplePoint, ...], basis: tuple[Monomial, ...]) -> list[list[Fraction]]:
    """The monomials at each point: the same ones for every figure of a target."""
    return [[_value(m, point) for m in basis] for point in points]


def _value(monomial: Monomial, point: SamplePoint) -> Fraction:
    return math.prod((power(v, e) for v, e in zip(point, monomial, strict=True)), start=Fraction(1))


def solve(rows: Sequence[Sequence[Fraction]], values: Sequence[Fraction]) -> list[Fraction] | None:
    """The one solution of an overdetermined linear system; None where there is none, or more than one."""
    from sympy import QQ
    from sympy.polys.matrices import DomainMatrix

    width = len(rows[0]) if rows else 0
    system = [[QQ(v.numerator, v.denominator) for v in (*row, value)] for row, value in zip(rows, values, strict=True)]
    reduced, pivots = DomainMatrix(system, (len(rows), width + 1), QQ).rref()
    if pivots != tuple(range(width)):  # too few, or one in the values: a row that says 0 = 1
        return None
    return [Fraction(int(v.numerator), int(v.denominator)) for *_, v in reduced.to_list()[:width]]


def product_basis(exponents: Sequence[Sequence[int]]) -> list[Monomial]:
    """All products of one power of each symbol."""
    return list(itertools.product(*exponents))


def evaluate(terms: Terms, point: SamplePoint) -> Fraction:
    """The formula's value at a point."""
    return sum((c * _value(m, point) for m, c in terms.items()), Fraction(0))
