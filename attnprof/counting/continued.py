"""Costs beyond the lengths at which code can be run for real: exact interpolation through counts at shorter ones.

A figure is kept only if a polynomial of degree two in n gives every count exactly, held-out ones included.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from attnprof.counting.believed import TooLong
from attnprof.counting.interpolate import Terms, evaluate, fit
from attnprof.quantities import PAPER, USEFUL, costed
from attnprof.records import Cost, revive
from attnprof.units import format_length

STEP = 128
TILED_STEP = 512  # multiples of every tile of the CPU's fused attention
FIRST = 2
COUNTS = 5
DEGREES = [(0,), (1,), (2,)]
FIGURES = tuple(q.key for q in costed() if q not in (USEFUL, PAPER) and q.derived is None)


def lengths(n: int, step: int, refused: TooLong) -> tuple[int, ...]:
    """Where to count for a length: five multiples of a step. Raises what refused the length where it is none.

    Only multiples of the step beyond the first two are continued: others may meet the edges of tiles and blocks.
    """
    if n % step or n < FIRST * step:
        raise TooLong(refused.message, hint=f"multiples of {step} may be interpolated to: {_near(n, step)}")
    return tuple(step * k for k in range(FIRST, FIRST + COUNTS))


def _near(n: int, step: int) -> str:
    return format_length(max(FIRST, round(n / step)) * step)


def continued(costs: Mapping[int, Cost], n: int) -> tuple[Cost, dict[str, str]]:
    """The cost at n by polynomials through costs at shorter lengths, and the reason for each figure without one."""
    at = ", ".join(map(format_length, costs))
    found: dict[str, int] = {}
    reasons: dict[str, str] = {}
    for name in FIGURES:
        counts = {(m,): getattr(cost, name) for m, cost in costs.items()}
        if None in counts.values():
            continue
        terms = fit(counts, DEGREES)
        value = None if terms is None else _whole(terms, n)
        if value is None:
            reasons[name] = f"no polynomial of degree two in n goes through the counts on real tensors at n = {at}"
        else:
            found[name] = value
    certificate = next(cost.certificate for cost in costs.values())
    backend = certificate.backend if certificate else None
    method = f"exact interpolation through dispatch on real tensors at n = {at}"
    return revive(Cost, {**found, "method": method, "certificate": {"backend": backend}}), reasons


def _whole(terms: Terms, n: int) -> int | None:
    value = evaluate(terms, (n,))
    return int(value) if value == Fraction(int(value)) and value >= 0 else None


def is_tiled(cost: Cost) -> bool:
    """Whether a figure rests on a kernel's tiles, so that it is smooth at their multiples alone."""
    return bool(cost.certificate and cost.certificate.tile)
