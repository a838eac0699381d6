"""Closed forms on a card: the polynomial in n that goes exactly through every count of a run, or that there is none."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from attnprof.closed_forms.formula import ClosedForm
from attnprof.quantities import FLOPS, PEAK, SAVED, STATE, Quantity
from attnprof.records import Record
from attnprof.render.numbers import span
from attnprof.render.pages.mathml import mathml
from attnprof.render.series import Group
from attnprof.words import Pass

SPARE = 2  # counts that must agree beyond those that the coefficients take
SHOWN: Mapping[Pass, tuple[Quantity, ...]] = {
    Pass.FORWARD: (FLOPS, PEAK, STATE),
    Pass.TRAIN: (FLOPS, SAVED),
    Pass.DECODE: (FLOPS, STATE),
}


@dataclass(frozen=True, slots=True)
class CardForm:
    """One form: what of, its MathML, and for which lengths it was found to be exact."""

    title: str
    math: str
    valid: str


def card_forms(target: str, found: Sequence[Group]) -> tuple[CardForm, ...]:
    """The forms of a target, one a quantity, pass and mask of the run."""
    return tuple(
        form
        for group in found
        for series in group.series
        if series.target == target
        for form in _of_series(series.label, series.records, group)
    )


def _of_series(label: str, records: Sequence[Record], group: Group) -> Iterator[CardForm]:
    for metric in SHOWN[group.conditions.pass_]:
        counts = {r.point.shape.n: _count(r, metric) for r in records}
        form = through({n: value for n, value in counts.items() if value is not None})
        if form is not None:
            causal = {True: ", causal", False: ", bidirectional", None: ""}[group.conditions.causal]
            title = f"{metric.title}, {group.conditions.pass_}{causal}"
            yield CardForm(title, mathml(form.text.replace("**", "^").replace("*", " ")), form.valid)


def _count(record: Record, metric: Quantity) -> int | None:
    """The exact count of all layers, never what a device measured."""
    value = None if record.cost is None else metric.of_record(record.cost)
    return value if isinstance(value, int) and value > 0 else None


def through(counts: Mapping[int, int]) -> ClosedForm | None:
    """The polynomial of at most the second degree through the counts of the longest lengths, as many as it holds for.

    At least `SPARE` counts agree with it beyond those that determine it; where they do not, there is none.
    """
    ns = sorted(counts)
    for first in range(len(ns)):
        kept = ns[first:]
        for powers in ((1,), (1, 2), (0, 1), (0, 1, 2)):
            if len(kept) < len(powers) + SPARE:
                continue
            terms = _solved({n: counts[n] for n in kept}, powers)
            if terms is not None:
                held = f"exact at {len(kept)} lengths, {span(kept)}"
                return ClosedForm(("n",), terms, "through the counts of a run", held)
    return None


def _agree(counts: Mapping[int, int], ns: Sequence[int], low: int) -> bool:
    """Whether one count agrees with as many as determine the coefficients: whole numbers, since most do not.

    The divided difference of count / n^low over all of `ns`, without its denominators.
    """
    gaps = {n: math.prod(n - other for other in ns if other != n) * n**low for n in ns}
    return sum(counts[n] * math.prod(gaps[other] for other in ns if other != n) for n in ns) == 0


def _solved(counts: Mapping[int, int], powers: tuple[int, ...]) -> dict[tuple[int, ...], Fraction] | None:
    """The coefficients of these powers by divided differences of the longest lengths, if every other count agrees."""
    low, count = powers[0], len(powers)
    ns = sorted(counts, reverse=True)
    if not _agree(counts, ns[: count + 1], low):
        return None
    column = [Fraction(counts[n], n**low) for n in ns[:count]]
    tops: list[Fraction] = []
    for order in range(count):
        tops.append(column[0])
        column = [(b - a) / (ns[k + order + 1] - ns[k]) for k, (a, b) in enumerate(pairwise(column))]
    flat = [Fraction(0)] * count
    for k in range(count - 1, -1, -1):  # Newton's form, multiplied out from the inside
        flat = [(flat[j - 1] if j else Fraction(0)) - ns[k] * flat[j] for j in range(count)]
        flat[0] += tops[k]
    if any(sum(c * n ** (low + k) for k, c in enumerate(flat)) != counts[n] for n in ns[count:]):
        return None
    return {(low + k,): c for k, c in enumerate(flat) if c}
