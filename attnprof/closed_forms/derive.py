"""Closed forms of a target: traced with a symbolic length where the code allows it, else drawn through integer counts.

A form is checked against every integer count that its validity covers; one that fails is no form.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from attnprof.closed_forms.formula import ClosedForm
from attnprof.closed_forms.parameters import with_symbols
from attnprof.closed_forms.sampler import ASKED_BUDGET, BUDGET, DRAWN, FIGURES, FIRST, STATE, UNIT, Sampler, coarser
from attnprof.closed_forms.symbolic import LONGEST, SymbolPinned, trace
from attnprof.contracts import Target
from attnprof.counting.believed import as_believed, why_not_traced
from attnprof.counting.interpolate import Monomial, Terms, fit, product_basis
from attnprof.shapes import Shape

TRACED = "symbolic trace"
MAIN = "train_flops"
FAR = tuple(2**k for k in range(13, 17))
# Of lengths that are powers of two: all from 1,024 on; and where what is chosen, or the longest of several segments,
# is no more than there is, up to a bound, since work in stretches of so many numbers ends as stretches of one row.
POWERS = (tuple(range(10, 17)), (*range(11, 17), 18), (15, 16, 17, 19, 20))


@dataclass(frozen=True, slots=True)
class ClosedForms:
    """The forms of a target's figures, by figure; `missing` says why there are none, `why` what kept a trace away."""

    forms: Mapping[str, ClosedForm] = field(default_factory=dict)
    missing: str = ""
    why: str = ""

    def to_json(self) -> dict[str, dict[str, str | None]]:
        """Plain text by pass and figure, null where there is none."""
        text = {name: form.text for name, form in self.forms.items()}
        return {
            "forward": {
                "flops_executed": text.get("forward_flops"),
                "flops_core_executed": text.get("forward_core"),
                "saved_bytes": "0",
            },
            "train": {
                "flops_executed": text.get("train_flops"),
                "flops_core_executed": text.get("train_core"),
                "saved_bytes": text.get("saved_bytes"),
            },
        }


def closed_forms(target: Target, shape: Shape, *, parameters: bool = True, sizes: tuple[str, ...] = ()) -> ClosedForms:
    """FLOPs, saved, parameter and state bytes of a target as expressions in n and (with `parameters`) its parameters.

    `sizes` names those of the batch `b`, heads `h` and head width `d` that are symbols too; the others are held at
    what `shape` has. Never raises for a target that has no closed form: it says why.
    """
    refused = why_not_traced(target, shape)
    if refused:
        return ClosedForms(missing=refused)
    sampler = Sampler(target, shape, ASKED_BUDGET if sizes else BUDGET)
    drawn = _through_integers(sampler, parameters, sizes)
    try:
        if sampler.longest > LONGEST:
            raise SymbolPinned(f"a trace of {sampler.longest} operators takes longer than counting integers")
        near = shape.replace(n=FIRST * UNIT)
        with as_believed(target):
            traced = trace(target, near)
    except SymbolPinned as pinned:
        return dataclasses.replace(drawn, why=str(pinned).splitlines()[0])
    return _confirmed(traced, drawn, sampler)


def _confirmed(traced: Mapping[str, Terms], drawn: ClosedForms, sampler: Sampler) -> ClosedForms:
    """The traced forms that agree with every integer count, in place of the drawn ones in n alone."""
    forms = dict(drawn.forms)
    plain = {key[0]: counted for key, counted in sampler.seen.items() if len(key) == 1 and counted}
    if not plain:  # the code raises beyond the one length at which it was traced
        return drawn
    for name, terms in traced.items():
        form = ClosedForm(("n",), terms, TRACED, f"n a multiple of {UNIT}, n >= {FIRST * UNIT}")
        agrees = all(form(n=n) == counted[name] for n, counted in plain.items())
        if agrees and (name not in forms or forms[name].names == ("n",)):
            forms[name] = form
        elif agrees:
            forms[name] = dataclasses.replace(forms[name], method=f"{TRACED}; parameters by {DRAWN}")
    return ClosedForms(forms, "" if forms else drawn.missing)


def _through_integers(sampler: Sampler, parameters: bool, sizes: tuple[str, ...]) -> ClosedForms:
    forms: dict[str, ClosedForm] = {}
    for unit, names, points in _grids(sampler, parameters):
        sampler.unit = unit
        forms = {**_fitted(sampler, names, points), **forms}
        if MAIN in forms:
            break
    if MAIN not in forms:
        return ClosedForms(forms, sampler.refused or "no polynomial in n, sqrt(n) or log2(n) goes through the counts")
    if forms[MAIN].names[1:]:
        held, where = fixed_parameters(sampler.target), _own_range(sampler, forms[MAIN])
        return ClosedForms({name: dataclasses.replace(form, valid=where, at=held) for name, form in forms.items()})
    if not (parameters or sizes):
        return ClosedForms(forms)
    return ClosedForms({**forms, **with_symbols(sampler, forms, parameters=parameters, sizes=sizes)})


def _own_range(sampler: Sampler, form: ClosedForm) -> str:
    """Where a form holds: with a parameter that follows n, as far as the scheme's own value stays in one regime."""
    name = form.names[-1]
    if name not in sampler.target.parameters:
        return form.valid
    for n in FAR:
        own, counted = sampler.target.resolve(n)[name], sampler.at(n)
        if counted and form(n=n, **{name: int(own or 0)}) not in (None, counted[MAIN]):
            return f"{form.valid}, n < {n} with the scheme's own {name}"
    return form.valid


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Where to count: a length, and parameters that are set there; `values` are those of the symbols."""

    n: int
    values: tuple[int, ...]
    changed: tuple[tuple[str, int], ...] = ()


def free_parameters(target: Target) -> dict[str, int]:
    """Parameters that the paper makes functions of n, at the length where forms are drawn."""
    here, there = target.resolve(FIRST * UNIT), target.resolve(16 * FIRST * UNIT)
    return {
        name: value
        for name, given in target.parameters.items()
        if given is None and isinstance(value := here[name], int) and value != there[name]
    }


def fixed_parameters(target: Target) -> dict[str, int]:
    """The integers that a scheme is given whatever the length."""
    return {name: given for name, given in target.parameters.items() if type(given) is int and given > 0}


def _grids(sampler: Sampler, parameters: bool) -> Iterable[tuple[int, tuple[str, ...], list[HeldOut]]]:
    """Units and symbols to try, with lengths that suit them: n, n with a parameter that follows it, functions of n."""
    free = free_parameters(sampler.target)
    if len(free) == 1 and parameters and dataclasses.is_dataclass(sampler.target):
        ((name, _),) = free.items()
        points = [(n * UNIT, s) for n in (8, 12, 16, 20) for s in (32, 64, 128)]
        yield UNIT, ("n", name), [HeldOut(n, (n, s), ((name, s),)) for n, s in points]
    for unit in dict.fromkeys([] if free else [UNIT, coarser(sampler.target)]):
        yield unit, ("n",), [HeldOut(n * unit, (n * unit,)) for n in (*range(FIRST, FIRST + 4), 16 * FIRST)]
    for powers in POWERS:
        yield UNIT, ("n", "log2(n)"), [HeldOut(2**k, (2**k, k)) for k in powers]
    for side in (32, 56):
        yield UNIT, ("n", "sqrt(n)"), [HeldOut((side * k) ** 2, ((side * k) ** 2, side * k)) for k in range(1, 8)]


BASES: dict[str, list[Monomial]] = {
    "sqrt(n)": [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0)],
    "log2(n)": [(0, 0), (1, 0), (1, 1), (2, 0)],
}


def _fitted(sampler: Sampler, names: tuple[str, ...], points: Sequence[HeldOut]) -> dict[str, ClosedForm]:
    """One form for each figure that the samples determine exactly."""
    basis = BASES.get(names[-1]) or product_basis([(0, 1, 2), *[(-1, 0, 1) for _ in names[1:]]])
    counted = {}
    for point in sorted(points, key=lambda point: -point.n):  # what is too long is told at once
        figures = sampler.at(point.n, dict(point.changed))
        if figures is None:
            return {}
        counted[point.values] = figures
    where = valid(names, points, sampler.unit)
    return {name: ClosedForm(names, terms, DRAWN, where) for name, terms in _all(counted, basis)}


def _all(
    counted: Mapping[tuple[int, ...], Mapping[str, int]], basis: Sequence[Monomial]
) -> Iterable[tuple[str, Terms]]:
    known = set.intersection(*(set(figures) for figures in counted.values()))
    for name in (*FIGURES, STATE):
        if name in known:
            terms = fit({at: figures[name] for at, figures in counted.items()}, basis)
            if terms is not None:
                yield name, terms


def valid(names: tuple[str, ...], points: Sequence[HeldOut], unit: int = UNIT) -> str:
    """For which lengths a form was drawn."""
    first = min(point.n for point in points)
    if names[-1] == "sqrt(n)":
        return f"n the square of a multiple of {math.isqrt(first)}"
    if names[-1] == "log2(n)":
        bound = f", n < {2 * max(point.n for point in points)}" if first > 2 ** POWERS[0][0] else ""
        return f"n a power of two, n >= {first}{bound}"
    divisors = " and of ".join((str(unit), *names[1:]))
    return f"n a multiple of {divisors}, n >= {first}"
