"""What a closed form is written as, and what it evaluates to: text is Python that gives its counts."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnprof.closed_forms.formula import ClosedForm
from attnprof.counting.interpolate import fit

WHOLE = st.integers(-(10**9), 10**9).filter(bool)
POLYNOMIALS = st.dictionaries(st.tuples(st.integers(0, 3)), WHOLE.map(Fraction), min_size=1, max_size=4)


@given(POLYNOMIALS, st.integers(1, 5000))
def test_the_text_is_python_for_the_same_number(terms: dict[tuple[int, ...], Fraction], n: int) -> None:
    form = ClosedForm(("n",), terms, "by hand")
    assert eval(form.text, {}, {"n": n}) == form(n=n) == sum(c * n**e for (e,), c in terms.items())


@given(POLYNOMIALS)
def test_a_polynomial_is_found_again_from_its_values(terms: dict[tuple[int, ...], Fraction]) -> None:
    values = {(n,): int(sum(c * n**e for (e,), c in terms.items())) for n in (3, 4, 5, 7, 11, 13)}
    assert fit(values, [(0,), (1,), (2,), (3,)]) == terms


def test_a_value_that_is_off_is_no_polynomial() -> None:
    values = {(n,): n**2 for n in (1, 2, 3, 4)} | {(5,): 26}
    assert fit(values, [(0,), (1,), (2,)]) is None


@pytest.mark.parametrize(
    ("terms", "text", "latex"),
    [
        ({(2,): 2048, (1,): 512}, "2048*n**2 + 512*n", r"2048 \, n^{2} + 512 \, n"),
        ({(0,): 7}, "7", "7"),
    ],
)
def test_it_is_written_as_a_person_would(terms: dict[tuple[int, ...], int], text: str, latex: str) -> None:
    form = ClosedForm(("n",), {key: Fraction(value) for key, value in terms.items()}, "by hand")
    assert (form.text, form.latex) == (text, latex)
