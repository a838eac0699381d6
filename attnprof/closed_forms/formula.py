"""A closed form as a person would write it: plain text, LaTeX, and (on request) a sympy expression."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from attnprof.counting.interpolate import Monomial, Terms, evaluate

if TYPE_CHECKING:
    import sympy


def exact_root(n: int) -> int | None:
    """The square root of a square."""
    root = math.isqrt(n)
    return root if root * root == n else None


def exact_log(n: int) -> int | None:
    """The binary logarithm of a power of two."""
    return n.bit_length() - 1 if n & (n - 1) == 0 else None


WrittenTerm = Callable[[tuple[str, ...], Monomial, Fraction], str]
LATEX_NAMES = {"sqrt(n)": r"\sqrt{n}", "log2(n)": r"\log_2 n"}
FUNCTIONS = {"sqrt(n)": exact_root, "log2(n)": exact_log}


@dataclass(frozen=True, slots=True)
class ClosedForm:
    """A sum of monomials in named symbols, with exact coefficients.

    `method` says how it was derived, `valid` for which lengths, `at` which parameters were held. `text` is valid
    Python, and valid for sympy. A name may be a function of n, `sqrt(n)` or `log2(n)`.
    """

    names: tuple[str, ...]
    terms: Terms
    method: str
    valid: str = ""
    at: Mapping[str, int] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """Plain text: `2048*n**2 + 2097152*n`, common factors taken out where that is shorter."""
        return self._written(_text_product, "*({})")

    @property
    def latex(self) -> str:
        """The same for a paper."""
        return self._written(_latex_product, r" \left({}\right)")

    def _written(self, write: WrittenTerm, brackets: str) -> str:
        expanded = _sum(self.names, self.terms, write)
        shared = _shared(self.terms)
        if len(self.names) == 1 or len(self.terms) < 2 or not any(shared):
            return expanded
        factor = _common(list(self.terms.values()))
        rest = {tuple(e - s for e, s in zip(m, shared, strict=True)): c / factor for m, c in self.terms.items()}
        text = write(self.names, shared, factor) + brackets.format(_sum(self.names, rest, write))
        return text if len(text) <= len(expanded) else expanded

    def sympy(self) -> sympy.Expr:
        """A sympy expression in positive integer symbols."""
        import sympy

        plain = [name for name in (*self.names, "n") if name not in FUNCTIONS]
        symbols: dict[str, Any] = {name: sympy.Symbol(name, positive=True, integer=True) for name in plain}
        symbols["log2"] = lambda x: sympy.log(x, 2)
        parsed: Any = sympy.parse_expr(_sum(self.names, self.terms, _text_product), local_dict=symbols)
        return parsed

    def __call__(self, **values: int) -> int | None:
        """The value at integers for every symbol; None where it is no integer there (outside of `valid`)."""
        looked_up = [values[name] if name in values else FUNCTIONS[name](values["n"]) for name in self.names]
        known = tuple(v for v in looked_up if v is not None)
        if len(known) < len(looked_up):
            return None
        value = evaluate(self.terms, known)
        return int(value) if value.denominator == 1 else None

    def leading(self, name: str = "n") -> int:
        """The highest power of one symbol."""
        at = self.names.index(name)
        return max((m[at] for m in self.terms), default=0)


def _shared(terms: Terms) -> Monomial:
    """The powers that all terms have in common."""
    return tuple(min(exponents) for exponents in zip(*terms, strict=True))


def _common(values: Sequence[Fraction]) -> Fraction:
    """The greatest factor that leaves whole coefficients."""
    numerator = math.gcd(*(v.numerator for v in values))
    denominator = math.lcm(*(v.denominator for v in values))
    return Fraction(numerator, denominator)


def _sum(names: tuple[str, ...], terms: Terms, write: WrittenTerm) -> str:
    ordered = sorted(terms.items(), key=lambda item: (tuple(-e for e in item[0]), -item[1]))
    parts = [(coefficient < 0, write(names, monomial, abs(coefficient))) for monomial, coefficient in ordered]
    if not parts:
        return "0"
    first = ("-" if parts[0][0] else "") + parts[0][1]
    return first + "".join(f" {'-' if negative else '+'} {text}" for negative, text in parts[1:])


def _factors(
    names: tuple[str, ...], monomial: Monomial, coefficient: Fraction, power: Callable[[str, int], str]
) -> tuple[list[str], list[str]]:
    """What stands above and below the fraction line of one term, numbers first."""
    above = [power(n, e) for n, e in zip(names, monomial, strict=True) if e > 0]
    below = [power(n, -e) for n, e in zip(names, monomial, strict=True) if e < 0]
    if coefficient.denominator != 1:
        below.insert(0, str(coefficient.denominator))
    if coefficient.numerator != 1 or not above:
        above.insert(0, str(coefficient.numerator))
    return above, below


def _text_product(names: tuple[str, ...], monomial: Monomial, coefficient: Fraction) -> str:
    above, below = _factors(names, monomial, coefficient, _text_power)
    return "*".join(above) + "".join(f"/{b}" for b in below)


def _text_power(name: str, exponent: int) -> str:
    return name if exponent == 1 else f"{name}**{exponent}"


def _latex_product(names: tuple[str, ...], monomial: Monomial, coefficient: Fraction) -> str:
    above, below = _factors(names, monomial, coefficient, _latex_power)
    over = r" \, ".join(above)
    return rf"\frac{{{over}}}{{{' '.join(below)}}}" if below else over


def _latex_power(name: str, exponent: int) -> str:
    written = LATEX_NAMES.get(name) or (name if len(name) == 1 else rf"\mathit{{{name}}}".replace("_", r"\_"))
    return written if exponent == 1 else f"{written}^{{{exponent}}}"
