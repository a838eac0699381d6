"""How a target's cost grows with n, by exact counts: the leading term, and whether it is what somebody claims."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from attnprof.closed_forms.formula import ClosedForm
from attnprof.closed_forms.sampler import DRAWN, Sampler
from attnprof.contracts import Target
from attnprof.counting.interpolate import Monomial, fit
from attnprof.errors import AttnprofError
from attnprof.shapes import Shape

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

GROWTHS: dict[str, float] = {
    "1": 0,
    "log(n)": 0.1,
    "sqrt(n)": 0.5,
    "n": 1,
    "n*log(n)": 1.1,
    "n*sqrt(n)": 1.5,
    "n**2": 2,
}
ROOTS = (32, 48, 64, 96, 128, 160, 192)
POWERS = tuple(2**k for k in range(10, 17))
BASES: tuple[tuple[tuple[str, str], list[Monomial], list[Monomial]], ...] = (
    (("n", "sqrt(n)"), [(r * r, r) for r in ROOTS], [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0)]),
    (("n", "log2(n)"), [(n, n.bit_length() - 1) for n in POWERS], [(0, 0), (1, 0), (1, 1), (2, 0)]),
    (("n", "sqrt(n)"), [(r * r, r) for r in (32, 64, 128, 256)], [(1, 0), (1, 1)]),
)
EXPONENTS = {("n", "sqrt(n)"): (1.0, 0.5), ("n", "log2(n)"): (1.0, 0.1)}


@dataclass(frozen=True, slots=True)
class Growth:
    """How one figure grows: the nearest of `GROWTHS`, the form behind it, and whether that is exact."""

    figure: str
    order: str
    text: str
    exact: bool


def growth(target: Target, shape: Shape, figure: str) -> Growth:
    """The growth of a figure of a training pass (`train_flops`, `forward_core`, `saved_bytes`, ...) at fixed settings.

    Parameters that are functions of n follow n. Where no exact form goes through the counts, the order is that of the
    second term in the sum `a + b n + c g(n)` that comes nearest. Raises `AttnprofError` where it cannot be counted.
    """
    sampler = Sampler(target, shape)
    for names, points, basis in BASES:
        terms = fit({point: counted(sampler, point[0], figure) for point in points}, basis)
        if terms is not None:
            return Growth(figure, leading(names, list(terms)), ClosedForm(names, terms, DRAWN).text, True)
    return nearest(figure, {n: counted(sampler, n, figure) for n in POWERS})


def nearest(figure: str, counts: Mapping[int, int]) -> Growth:
    """The order whose sum with a linear term fits the counts best, in relative terms."""
    import numpy as np

    lengths = np.array(list(counts), dtype=float)
    values = np.array(list(counts.values()), dtype=float)
    found: dict[str, float] = {}
    for order in GROWTHS:
        columns = np.stack([np.ones_like(lengths), lengths, at(order, lengths)], axis=1) / values[:, None]
        weights = np.linalg.lstsq(columns, np.ones_like(lengths), rcond=None)[0]
        if weights[2] > 0 or order == "n":
            found[order] = float(np.abs(columns @ weights - 1).max())
    best = min(found, key=lambda name: found[name])
    return Growth(figure, best, f"about {best}, to {found[best]:.1%} at n = {min(counts)} to {max(counts)}", False)


def counted(sampler: Sampler, n: int, figure: str) -> int:
    """A figure at one length."""
    figures = sampler.at(n)
    if figures is None:
        raise AttnprofError(
            f"{sampler.target.name} cannot be counted at n = {n}", hint=f"try: attnprof cost {sampler.target.name}"
        )
    if figure not in figures:
        raise AttnprofError(f"{sampler.target.name} has no decoding state", hint="leave `state` out")
    return figures[figure]


def leading(names: Sequence[str], monomials: list[Monomial]) -> str:
    """The order of the fastest growing monomial."""
    weights = EXPONENTS[(names[0], names[1])]
    highest = max(sum(w * e for w, e in zip(weights, m, strict=True)) for m in monomials)
    return min(GROWTHS, key=lambda name: abs(GROWTHS[name] - highest))


def at(order: str, lengths: NDArray[np.float64]) -> NDArray[np.float64]:
    """An order's function of n, for an array of lengths."""
    import numpy as np

    power = round(GROWTHS[order] * 2) / 2
    return lengths**power * (np.log(lengths) if "log" in order else 1.0)


def parse_order(text: str) -> str:
    """One of `GROWTHS` from what a person writes: `n^2`, `O(n log n)`. Raises `AttnprofError` otherwise."""
    plain = re.sub(r"^o\((.*)\)$", r"\1", text.lower().replace(" ", ""))
    plain = plain.replace("^", "**").replace("log2", "log").replace("nlogn", "n*log(n)").replace("n**1.5", "n*sqrt(n)")
    plain = {"n*n": "n**2", "nsqrt(n)": "n*sqrt(n)", "nlog(n)": "n*log(n)", "constant": "1"}.get(plain, plain)
    if plain not in GROWTHS:
        raise AttnprofError(f"{text!r} is no order of growth that is known here", hint=f"one of {', '.join(GROWTHS)}")
    return plain


def verdict(claim: str, forms: Mapping[str, ClosedForm], order: str | None = None) -> str:
    """A sentence that sets a paper's claim beside what was derived; says so where they cannot be compared.

    `order` is that of the core where a parameter of its form follows n.
    """
    core = forms.get("forward_core")
    if core is None:
        return "no closed form was derived, so the claim is not judged"
    if not claim:
        return f"the source claims no order; derived core FLOPs: {core.text}"
    try:
        claimed = parse_order(claim)
    except AttnprofError:
        return f"claimed {claim}; derived core FLOPs: {core.text}"
    found = order or order_of(core)
    agrees = "agrees with" if found == claimed else "differs from"
    return f"derived O({found}) {agrees} the claimed {claim}"


def order_of(form: ClosedForm) -> str:
    """The order in n of a form, its other parameters held."""
    if len(form.names) > 1 and form.names[1] in ("sqrt(n)", "log2(n)"):
        return leading(form.names, list(form.terms))
    return {0: "1", 1: "n", 2: "n**2"}[form.leading()]
