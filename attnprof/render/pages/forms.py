"""Closed forms on a card: the polynomial in n that goes exactly through every count of a run, or that there is none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from attnprof.closed_forms.formula import ClosedForm
from attnprof.quantities import FLOPS, PEAK, SAVED, STATE, Quantity, vars_of
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
    value = None if record.cost is None else metric.of_cost(vars_of(record.cost))
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


def _solved(counts: Mapping[int, int], powers: tuple[int, ...]) -> dict[tuple[int, ...], Fraction] | None:
    """The coefficients of these powers by divided differences, if every count agrees."""
    low = powers[0]
    points = [(Fraction(n), Fraction(value, n**low)) for n, value in sorted(counts.items())]
    column = [y for _, y in points]
    tops = []
    for order in range(len(powers)):
        tops.append(column[0])
        steps = [points[k + order + 1][0] - points[k][0] for k in range(len(column) - 1)]
        column = [(b - a) / step for a, b, step in zip(column, column[1:], steps, strict=False)]
    if any(column):
        return None
    xs = [x for x, _ in points]
    flat = [tops[0]] if len(tops) == 1 else [tops[0] - tops[1] * xs[0], tops[1]]
    if len(tops) == 3:
        flat = [tops[0] - tops[1] * xs[0] + tops[2] * xs[0] * xs[1], tops[1] - tops[2] * (xs[0] + xs[1]), tops[2]]
    return {(low + k,): c for k, c in enumerate(flat) if c}
