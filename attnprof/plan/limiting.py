"""The longest sequence that fits into a memory: from the closed form of what it takes, checked on fake tensors."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from attnprof.contracts import Target
from attnprof.counting.believed import observe
from attnprof.counting.interpolate import Terms, evaluate, fit
from attnprof.errors import AttnprofError, TooLarge
from attnprof.plan.waterfall import needed_bytes
from attnprof.shapes import Shape
from attnprof.units import format_bytes, format_length
from attnprof.words import Pass

UNIT = 512
LENGTHS = tuple(UNIT * m for m in (8, 9, 10, 12, 16))
LONGEST = 2**27
COUNTABLE = 2**21


@dataclass(frozen=True, slots=True)
class Limit:
    """The longest n that fits: bytes that it takes in all, the pass's own peak among them, and how it was found."""

    n: int
    needed_bytes: int
    peak_bytes: int
    method: str
    kernels: str = ""


@dataclass(frozen=True, slots=True)
class Needs:
    """Bytes at one length: all of them, and those beyond what lives before the pass."""

    needed: int
    peak: int
    kernels: str = ""


def longest(target: Target, shape: Shape, pass_: Pass, memory_bytes: int, *, step: int = UNIT) -> Limit:
    """The longest multiple of `step` whose pass fits into `memory_bytes`, parameters, buffers and inputs included.

    A polynomial through counts gives a first answer where there is one; counts at that length and the next confirm it,
    or bisection on fake tensors replaces it. Raises `AttnprofError` where even the shortest does not fit.
    """
    seen: dict[int, Needs] = {}

    def need(n: int) -> Needs:
        if n not in seen:
            seen[n] = needs(target, shape.replace(n=n), pass_)
        return seen[n]

    shortest = need(step)
    if shortest.needed > memory_bytes:
        raise AttnprofError(
            f"{target.name} takes {format_bytes(shortest.needed)} at n = {format_length(step)}, "
            f"more than {format_bytes(memory_bytes)}",
            hint="a smaller --batch or --dim, or more --memory",
        )
    form = through(need, lambda needs: needs.needed)
    if form is not None:
        guess = largest(form, memory_bytes, step)
        confirmed = guess <= COUNTABLE and _counted(need, guess, guess + step)
        if not confirmed:
            peak = through(need, lambda needs: needs.peak) or form
            needed, most = (int(evaluate(terms, (guess,))) for terms in (form, peak))
            return Limit(guess, needed, most, "closed form, too long to be counted", shortest.kernels)
        if need(guess).needed <= memory_bytes < need(guess + step).needed:
            method = f"closed form, confirmed by counts at n and n + {step}"
            return Limit(guess, need(guess).needed, need(guess).peak, method, shortest.kernels)
    try:
        n = bisected(lambda n: need(n).needed <= memory_bytes, step)
    except TooLarge as error:
        fits = max(n for n, needs in seen.items() if needs.needed <= memory_bytes)
        raise TooLarge(
            f"{target.name} fits at n = {format_length(fits)}, but beyond that no count is made: {error.message}",
            hint=error.hint,
        ) from error
    return Limit(n, need(n).needed, need(n).peak, "bisection on fake tensors", shortest.kernels)


def _counted(need: Callable[[int], Needs], *lengths: int) -> bool:
    """Whether these lengths are short enough for what a count has to hold."""
    try:
        for n in lengths:
            need(n)
    except TooLarge:
        return False
    return True


def needs(target: Target, shape: Shape, pass_: Pass) -> Needs:
    """What one pass takes at one length."""
    seen = observe(target, shape, pass_)
    tally = seen.run.tally
    kernels = ", ".join(tally.backends) or "one kernel an operator"
    if tally.unseen:
        kernels += f" (what {', '.join(tally.unseen)} take for themselves is not known to the byte)"
    return Needs(needed_bytes(seen.built, seen.run), seen.run.lives.peak, kernels)


def through(need: Callable[[int], Needs], figure: Callable[[Needs], int]) -> Terms | None:
    """The polynomial of degree two through the needs at a few lengths, two of them to spare."""
    return fit({(n,): figure(need(n)) for n in LENGTHS}, [(0,), (1,), (2,)])


def largest(form: Terms, memory_bytes: int, step: int) -> int:
    """The largest multiple of `step` where a polynomial of degree two at most stays within `memory_bytes`."""
    a, b, c = (form.get((e,), Fraction(0)) for e in (2, 1, 0))
    rest = Fraction(memory_bytes) - c
    if a > 0:
        root = (-b + Fraction(math.isqrt(int((b * b + 4 * a * rest) * 4**16)), 2**16)) / (2 * a)
    else:
        root = rest / b if b > 0 else Fraction(LONGEST)
    return max(step, min(int(root) // step * step, LONGEST))


def bisected(fits: Callable[[int], bool], step: int) -> int:
    """The largest multiple of `step` that fits, if every shorter one does; `fits(step)` holds."""
    low, high = step, 2 * step
    while high < LONGEST and fits(high):
        low, high = high, 2 * high
    while high - low > step:
        middle = (low + high) // 2 // step * step
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low
