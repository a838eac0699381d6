"""A scheme's own parameters as symbols of its closed forms: varied one by one, then together, on integers."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from attnprof.closed_forms.formula import ClosedForm
from attnprof.closed_forms.sampler import DRAWN, Sampler, size_of
from attnprof.counting.interpolate import SPARE, fit, product_basis

SMALL = 8


def with_symbols(
    sampler: Sampler, forms: Mapping[str, ClosedForm], *, parameters: bool = True, sizes: tuple[str, ...] = ()
) -> dict[str, ClosedForm]:
    """The forms in n again, in n, the `sizes` that were asked for and every parameter whose law is found.

    A parameter may stand below a fraction line, as blocks and factors do. One that they depend on otherwise (through a
    power of two, a tile), or that would take too many counts, is held, and the form says at what value.
    """
    own = _integers(sampler) if parameters else {}
    integers = {**{name: size_of(sampler.shape, name) for name in sizes}, **own}
    involved = [*sizes, *(name for name in own if _matters(sampler, name, own[name]))]
    held = {name: integers[name] for name in involved}
    kept, joint = _found(sampler, integers, involved, forms), dict[str, ClosedForm]()
    while kept and len(joint) < len(forms):
        left = {name: form for name, form in forms.items() if name not in joint}
        joint |= _jointly(sampler, left, kept, {k: v for k, v in integers.items() if k in held})
        kept.popitem()  # alone each has a law; together they need not: the last is held then
    return {name: joint.get(name) or _at(form, held) for name, form in forms.items()}


def _integers(sampler: Sampler) -> dict[str, int]:
    resolved = sampler.target.resolve(sampler.first)
    return {k: v for k, v in resolved.items() if isinstance(v, int) and not isinstance(v, bool) and v > 0}


def _values(value: int) -> list[int]:
    """Values near a parameter's own that keep what it is divisible by."""
    if value <= SMALL:
        return [value, value + 1, value + 2, value + 3, value + 4]
    return [value, value // 2, 2 * value, 3 * value // 2, 5 * value // 2]


def _multiples(value: int) -> list[int]:
    """Values that divide every length which the parameter's own divides, or nearly: blocks and factors."""
    return [value, 2 * value, 4 * value, 8 * value, value // 2 if value % 2 == 0 else 16 * value]


@dataclass(frozen=True, slots=True)
class Law:
    """A parameter enters with these exponents, by the counts at these values, of which the last are spare."""

    exponents: tuple[int, ...]
    values: Sequence[int]

    @property
    def needed(self) -> Sequence[int]:
        """As many values as there are exponents."""
        return self.values[: len(self.exponents)]


def _laws(value: int) -> tuple[Law, ...]:
    """What to try: linear, quadratic, and what a block or a factor divides. The parameter's own value comes first."""
    near, blocks = _values(value), _multiples(value)
    return Law((0, 1), near[:4]), Law((0, 1, 2), near), Law((-1, 0), blocks[:4]), Law((-1, 0, 1), blocks)


def _matters(sampler: Sampler, name: str, value: int) -> bool:
    n = sampler.first
    if not sampler.affords(1):
        return True
    other = sampler.at(n, {name: _values(value)[1]})
    return other is not None and other != sampler.at(n)


def _found(
    sampler: Sampler, integers: Mapping[str, int], names: Sequence[str], forms: Mapping[str, ClosedForm]
) -> dict[str, Law]:
    """The law of each parameter for which one is found before the counts run out, the plainest laws tried first."""
    found: dict[str, Law] = {}
    rounds = zip(*([(name, law) for law in _laws(integers[name])] for name in names), strict=True)
    for name, law in itertools.chain.from_iterable(rounds):
        needed = len(law.values) - 1 + _runs([*found.values(), law], forms)
        if name not in found and sampler.affords(needed) and _follows(sampler, name, law, forms):
            found[name] = law
    return found


def _follows(sampler: Sampler, name: str, law: Law, forms: Mapping[str, ClosedForm]) -> bool:
    own = law.values[0]
    counted = {v: sampler.at(sampler.first, {name: v} if v != own else {}) for v in law.values}
    return all(_holds(law, {v: c[figure] for v, c in counted.items() if c}) for figure in forms)


def _holds(law: Law, counted: Mapping[int, int]) -> bool:
    samples = {(v,): c for v, c in counted.items()}
    return len(samples) == len(law.values) and fit(samples, [(e,) for e in law.exponents]) is not None


def _runs(laws: Sequence[Law], forms: Mapping[str, ClosedForm]) -> int:
    """Counts that a form in n and all of these parameters takes, beside those in each of them alone."""
    lengths = 1 + max(form.leading() for form in forms.values())
    alone = lengths + sum(len(law.exponents) - 1 for law in laws)
    return math.prod((len(law.exponents) for law in laws), start=lengths) - alone + SPARE


def _jointly(
    sampler: Sampler, forms: Mapping[str, ClosedForm], kept: Mapping[str, Law], own: Mapping[str, int]
) -> dict[str, ClosedForm]:
    names = ("n", *kept)
    degree = max(form.leading() for form in forms.values())
    basis = product_basis([range(degree + 1), *(law.exponents for law in kept.values())])
    lengths = [sampler.first + step * sampler.unit for step in range(degree + 1)]
    grid = itertools.product(lengths, *(law.needed for law in kept.values()))
    spare = [(lengths[-1] + sampler.unit, *(law.values[-1] for law in kept.values()))]
    spare += [(lengths[0], *(law.values[-(1 + at % 2)] for at, law in enumerate(kept.values())))]
    points = [*grid, *spare]
    counted = {point: sampler.at(point[0], _changed(own, names, point)) for point in points}
    if any(c is None for c in counted.values()):
        return {}
    return _solved(forms, names, counted, basis, own)


def _changed(own: Mapping[str, int], names: Sequence[str], point: Sequence[int]) -> dict[str, int]:
    return {name: value for name, value in zip(names[1:], point[1:], strict=True) if value != own[name]}


def _solved(
    forms: Mapping[str, ClosedForm],
    names: tuple[str, ...],
    counted: Mapping[tuple[int, ...], dict[str, int] | None],
    basis: Sequence[tuple[int, ...]],
    own: Mapping[str, int],
) -> dict[str, ClosedForm]:
    found = {}
    held = {name: value for name, value in own.items() if name not in names}
    for name, form in forms.items():
        terms = fit({at: figures[name] for at, figures in counted.items() if figures}, basis)
        if terms is not None:
            found[name] = ClosedForm(names, terms, DRAWN, form.valid, held)
    return found


def _at(form: ClosedForm, held: Mapping[str, int]) -> ClosedForm:
    return ClosedForm(form.names, form.terms, form.method, form.valid, dict(held))
