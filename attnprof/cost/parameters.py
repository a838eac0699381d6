"""A scheme's own parameters as symbols of its closed forms: varied one by one, then together, on integers."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from attnprof.cost.formula import ClosedForm
from attnprof.cost.interpolate import fit, product_basis
from attnprof.cost.sampler import DRAWN, FIRST, UNIT, Sampler, size_of

SMALL = 8


def with_symbols(
    sampler: Sampler, forms: Mapping[str, ClosedForm], *, parameters: bool = True, sizes: tuple[str, ...] = ()
) -> dict[str, ClosedForm]:
    """The forms in n again, in n, the `sizes` that were asked for and every parameter that they are polynomials in.

    A parameter that they depend on otherwise (through a power of two, a tile), or that would take too many counts, is
    held, and the form says at what value.
    """
    own = _integers(sampler) if parameters else {}
    integers = {**{name: size_of(sampler.shape, name) for name in sizes}, **own}
    involved = [*sizes, *(name for name in own if _matters(sampler, name, own[name]))]
    held = {name: integers[name] for name in involved}
    values = {name: found for name in involved if (found := _polynomial_in(sampler, name, integers[name], forms))}
    kept = _affordable(values, forms, sampler)
    joint = _jointly(sampler, forms, kept, integers) if kept else {}
    return {name: joint.get(name) or _held(form, held) for name, form in forms.items()}


def _integers(sampler: Sampler) -> dict[str, int]:
    resolved = sampler.target.resolve(FIRST * UNIT)
    return {k: v for k, v in resolved.items() if isinstance(v, int) and not isinstance(v, bool) and v > 0}


def _values(value: int) -> list[int]:
    """Values near a parameter's own that keep what it is divisible by."""
    if value <= SMALL:
        return [value, value + 1, value + 2, value + 3, value + 4]
    return [value, value // 2, 2 * value, 3 * value // 2, 5 * value // 2]


def _matters(sampler: Sampler, name: str, value: int) -> bool:
    n = FIRST * UNIT
    if not sampler.affords(1):
        return True
    other = sampler.at(n, {name: _values(value)[1]})
    return other is not None and other != sampler.at(n)


def _polynomial_in(
    sampler: Sampler, name: str, value: int, forms: Mapping[str, ClosedForm]
) -> tuple[list[int], int] | None:
    """Values of a parameter over which every figure is a polynomial in it, and the degree; None where it is not."""
    n, chosen = FIRST * UNIT, _values(value)
    for degree, count in ((1, 4), (2, 5)):
        if not sampler.affords(count):
            return None
        counted = [sampler.at(n, {name: v} if v != value else {}) for v in chosen[:count]]
        if any(c is None for c in counted):
            return None
        basis = [(e,) for e in range(degree + 1)]
        samples = [{(v,): c[figure] for v, c in zip(chosen, counted, strict=False) if c} for figure in forms]
        if all(fit(sample, basis) is not None for sample in samples):
            return chosen[:count], degree
    return None


def _affordable(
    values: Mapping[str, tuple[list[int], int]], forms: Mapping[str, ClosedForm], sampler: Sampler
) -> dict[str, tuple[list[int], int]]:
    """As many of the parameters as the counts that are left allow."""
    kept: dict[str, tuple[list[int], int]] = {}
    size = 1 + max(form.leading() for form in forms.values())
    for name, (chosen, degree) in values.items():
        size *= degree + 1
        if not sampler.affords(size):
            break
        kept[name] = (chosen, degree)
    return kept


def _jointly(
    sampler: Sampler,
    forms: Mapping[str, ClosedForm],
    kept: Mapping[str, tuple[list[int], int]],
    own: Mapping[str, int],
) -> dict[str, ClosedForm]:
    names = ("n", *kept)
    degree = max(form.leading() for form in forms.values())
    basis = product_basis([range(degree + 1), *(range(d + 1) for _, d in kept.values())])
    lengths = [(FIRST + step) * UNIT for step in range(degree + 1)]
    grid = itertools.product(lengths, *(chosen[: d + 1] for chosen, d in kept.values()))
    spare = [(lengths[-1] + UNIT, *(chosen[-1] for chosen, _ in kept.values()))]
    spare += [(lengths[0], *(chosen[-(1 + at % 2)] for at, (chosen, _) in enumerate(kept.values())))]
    points = [*grid, *spare]
    counted = {point: sampler.at(point[0], _changed(own, names, point)) for point in points}
    if any(c is None for c in counted.values()):
        return {}
    return _solved(forms, names, counted, basis)


def _changed(own: Mapping[str, int], names: Sequence[str], point: Sequence[int]) -> dict[str, int]:
    return {name: value for name, value in zip(names[1:], point[1:], strict=True) if value != own[name]}


def _solved(
    forms: Mapping[str, ClosedForm],
    names: tuple[str, ...],
    counted: Mapping[tuple[int, ...], dict[str, int] | None],
    basis: Sequence[tuple[int, ...]],
) -> dict[str, ClosedForm]:
    found = {}
    for name, form in forms.items():
        terms = fit({at: figures[name] for at, figures in counted.items() if figures}, basis)
        if terms is not None:
            found[name] = ClosedForm(names, terms, DRAWN, form.valid)
    return found


def _held(form: ClosedForm, held: Mapping[str, int]) -> ClosedForm:
    return ClosedForm(form.names, form.terms, form.method, form.valid, dict(held))
