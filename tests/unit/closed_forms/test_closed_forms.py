"""Closed forms: exact at every length that they are valid for, and written as a person would."""

from __future__ import annotations

import re
from fractions import Fraction
from math import isqrt
from pathlib import Path
from typing import Any

import pytest

from attnprof.closed_forms.derive import closed_forms
from attnprof.closed_forms.formula import ClosedForm
from attnprof.closed_forms.growth import growth, order_of, parse_order, verdict
from attnprof.closed_forms.sampler import Sampler
from attnprof.closed_forms.symbolic import SymbolPinned, trace
from attnprof.counting import count
from attnprof.counting.interpolate import fit, solve
from attnprof.errors import AttnprofError
from attnprof.shapes import Shape
from attnprof.targets import catalog, door
from attnprof.testing import assert_scaling

SMALL: dict[str, Any] = {"dim": 64, "heads": 4}
# What they execute goes by the least of what is there and what is chosen, or by stretches of a power of two: a form
# of its own for powers of two, between bounds.
PIECEWISE = ("csa", "dsa")
# No form was found for what these execute: whole tiles of choices, segments of several lengths.
WITHOUT = ("longnet", "moba", "nsa")


def shape_of(name: str, n: int = 1024) -> Shape:
    return Shape(n, causal=catalog.card(name).native_causal, **SMALL)


@pytest.mark.parametrize("name", ["dense", "flash", "sliding_window", "linear", "linformer", "sparse_strided"])
def test_forms_give_the_integer_counts(name: str) -> None:
    target = door.find(name)
    forms = closed_forms(target, shape_of(name)).forms
    for n in (4096, 7680):
        cost = count(target, shape_of(name, n), "train").cost
        known = {"n": n, **{k: v for k, v in target.resolve(n).items() if isinstance(v, int)}}
        for figure, value in (
            ("train_flops", cost.flops_executed),
            ("train_core", cost.flops_core_executed),
            ("saved_bytes", cost.saved_bytes),
            ("param_bytes", cost.param_bytes),
        ):
            assert forms[figure](**{k: known[k] for k in forms[figure].names}) == value, (figure, forms[figure].text)


def test_dense_attention_has_the_forms_of_the_textbook() -> None:
    forms = closed_forms(door.find("dense"), shape_of("dense").replace(causal=False)).forms
    assert forms["forward_core"].text == f"{4 * 64}*n**2"
    assert forms["forward_flops"].text == f"{4 * 64}*n**2 + {8 * 64 * 64}*n"
    assert forms["train_flops"].method == "symbolic trace"


def test_a_parameter_that_follows_n_becomes_a_symbol() -> None:
    form = closed_forms(door.find("sparse_strided"), shape_of("sparse_strided")).forms["train_core"]
    assert form.names == ("n", "stride")
    assert form.leading("stride") == 1
    assert "/stride" in form.text


def test_a_parameter_of_the_scheme_becomes_a_symbol() -> None:
    forms = closed_forms(door.find("linformer"), shape_of("linformer")).forms
    assert forms["forward_core"].text == f"{8 * 64}*n*rank"


def test_a_factor_that_divides_the_length_stands_below_the_line() -> None:
    form = closed_forms(door.find("pooled"), shape_of("pooled")).forms["forward_core"]
    assert form.text == f"{4 * 64}*n**2/factor"
    assert form.valid == "n a multiple of 1536, n >= 12288"
    assert (
        form(n=1536 * 11, factor=3)
        == count(door.find("pooled"), shape_of("pooled", 1536 * 11), "forward").cost.flops_core_executed
    )


def test_what_is_no_symbol_of_a_form_is_named_beside_it() -> None:
    form = closed_forms(door.find("image_1d"), shape_of("image_1d")).forms["forward_core"]
    assert (form.names, dict(form.at)) == (("n", "memory_block"), {"query_block": 256})
    form = closed_forms(door.find("sparse_fixed"), shape_of("sparse_fixed")).forms["forward_core"]
    assert (form.names, dict(form.at)) == (("n", "stride"), {"summary": 8})


EXECUTED = [name for name in catalog.names() if catalog.is_written(name, catalog.card(name))]


# Some seconds each; every kind of form has one that is no slow test.
LONG = (
    *WITHOUT,
    *PIECEWISE,
    *("axial_autoregressive", "clusterformer", "compressive", "deltanet", "gated_deltanet", "gla", "hgrn2", "hyena"),
    *("kda", "lightning", "log_linear", "long_short", "mamba3", "nystromformer", "path", "perceiver", "poolingformer"),
    *("retnet", "rfa", "ring", "rwkv7", "sparse_strided", "swin", "token_learner", "transformer_xl", "yoco", "yoso"),
)
MARKED = [pytest.param(name, marks=pytest.mark.slow) if name in LONG else name for name in EXECUTED]


@pytest.mark.parametrize("name", MARKED)
def test_every_scheme_has_forms_that_give_its_counts(name: str) -> None:
    """At a length that no form was drawn through: a multiple of the blocks, a square, or a power of two."""
    target = door.find(name)
    derived = closed_forms(target, shape_of(name))
    forms = derived.forms
    figures = {
        "forward_core": ("forward", "flops_core_executed"),
        "forward_flops": ("forward", "flops_executed"),
        "train_core": ("train", "flops_core_executed"),
        "train_flops": ("train", "flops_executed"),
        "saved_bytes": ("train", "saved_bytes"),
    }
    if name in WITHOUT:
        assert "no polynomial" in derived.missing
        return
    assert set(figures) <= set(forms), derived.missing
    assert ("power of two" in forms["train_flops"].valid and "n < " in forms["train_flops"].valid) == (
        name in PIECEWISE
    )
    for figure, (pass_, counted) in figures.items():
        if figure not in forms:
            continue
        form = forms[figure]
        n = next(n for n in (2**18, 512 * 3 * 21, (56 * 9) ** 2, 512 * 9, 17920 * 11) if covers(form.valid, n))
        symbols = {k: v for k, v in target.resolve(n).items() if k in form.names and isinstance(v, int)}
        cost = count(target, shape_of(name, n), pass_).cost  # type: ignore[arg-type]
        assert form(n=n, **symbols) == getattr(cost, counted), (figure, form.text, n)


def covers(valid: str, n: int) -> bool:
    """Whether a form's words about where it is valid mean this length."""
    below = re.search(r"n < (\d+)", valid)
    if below and n >= int(below[1]):
        return False
    if valid.startswith("n a power"):
        return n & (n - 1) == 0
    number = int(re.findall(r"\d+", valid)[0])
    return (isqrt(n) ** 2 == n and isqrt(n) % number == 0) if valid.startswith("n the square") else n % number == 0


def test_a_pinned_trace_says_so_and_integers_take_its_place() -> None:
    target = door.find("linformer")
    with pytest.raises(SymbolPinned):
        trace(target, shape_of("linformer", 4096))
    found = closed_forms(target, shape_of("linformer"))
    assert found.why
    assert all("interpolation" in form.method for form in found.forms.values())


def test_a_form_reads_as_text_latex_and_sympy() -> None:
    import sympy

    form = ClosedForm(("n", "window"), {(1, 1): Fraction(8), (1, 0): Fraction(8), (2, -1): Fraction(1, 2)}, "given")
    n, window = sympy.symbols("n window", positive=True, integer=True)
    assert sympy.simplify(form.sympy() - (8 * n * window + 8 * n + n**2 / (2 * window))) == 0
    assert sympy.simplify(sympy.parse_expr(form.text, local_dict={"n": n, "window": window}) - form.sympy()) == 0
    assert r"\mathit{window}" in form.latex
    assert form(n=4, window=2) == 8 * 4 * 2 + 8 * 4 + 4


def test_interpolation_needs_spare_points_and_refuses_a_wrong_basis() -> None:
    square = {(n,): n * n for n in range(1, 6)}
    assert fit(square, [(0,), (1,), (2,)]) == {(2,): 1}
    assert fit(square, [(0,), (1,)]) is None
    assert fit(dict(list(square.items())[:3]), [(0,), (1,), (2,)]) is None
    assert solve([[Fraction(1), Fraction(1)]], [Fraction(1)]) is None


@pytest.mark.parametrize(
    ("written", "order"),
    [("n^2", "n**2"), ("O(n log n)", "n*log(n)"), ("O(n sqrt(n))", "n*sqrt(n)"), ("n", "n"), ("1", "1")],
)
def test_orders_are_read_as_people_write_them(written: str, order: str) -> None:
    assert parse_order(written) == order


def test_an_order_that_nobody_knows_is_refused() -> None:
    with pytest.raises(AttnprofError, match="order of growth"):
        parse_order("2^n")


def test_the_verdict_compares_the_claim_with_what_was_derived() -> None:
    forms = {"forward_core": ClosedForm(("n",), {(2,): Fraction(4)}, "given")}
    assert "agrees" in verdict("O(n^2)", forms)
    assert "differs" in verdict("O(n)", forms)
    assert "derived core" in verdict("O(n k)", forms)
    assert order_of(forms["forward_core"]) == "n**2"


def test_growth_follows_a_stride_that_follows_n() -> None:
    assert growth(door.find("sparse_strided"), shape_of("sparse_strided"), "train_core").order == "n*sqrt(n)"


def test_scaling_that_holds_passes_and_one_that_does_not_shows_the_form() -> None:
    assert_scaling("sliding_window", flops="n", saved="n", params="1", **SMALL)
    assert_scaling("flash", flops="n**2", saved="n", **SMALL)
    with pytest.raises(AssertionError, match=r"flops grows as n\*\*2, not n: \d+\*n"):
        assert_scaling("dense", flops="n", **SMALL)


def test_sizes_become_symbols_on_request() -> None:
    forms = closed_forms(door.find("dense"), Shape(1024, **SMALL), sizes=("b", "h", "d")).forms
    assert forms["forward_flops"].text == "4*n*b*h*d*(n + 2*h*d)"
    assert forms["train_core"].text == "12*n**2*b*h*d"
    assert forms["param_bytes"].text == "16*h**2*d**2"


def test_a_scheme_with_log_n_links_has_a_form_in_log_n() -> None:
    form = closed_forms(door.find("log_sparse"), shape_of("log_sparse")).forms["forward_core"]
    assert form.names == ("n", "log2(n)")
    assert order_of(form) == "n*log(n)"
    assert form(n=2048) is not None
    assert form(n=2049) is None


def test_numpy_and_lowering_keep_a_trace_away_at_once() -> None:
    for name, word in (("sliding_window", "gather"), ("transformer_xl", "NumPy")):
        with pytest.raises(SymbolPinned, match=word):
            trace(door.find(name), shape_of(name, 4096))


def test_a_bug_of_ours_is_raised_and_no_missing_form(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Sampler, n: int, changed: Any) -> None:
        raise IndexError("a bug")

    monkeypatch.setattr(Sampler, "_count", broken)
    with pytest.raises(IndexError, match="a bug"):
        closed_forms(door.find("dense"), shape_of("dense"))


SHORT_ONLY = """
from torch import nn

class Short(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.inner = nn.Linear(dim, dim)

    def forward(self, x):
        if x.shape[1] > 4096:
            raise ValueError("no more than 4096 tokens")
        return self.inner(x)
"""


def test_what_a_users_code_raises_at_a_length_is_why_there_is_no_form(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(SHORT_ONLY)
    found = closed_forms(door.find(f"{tmp_path}/mine.py:Short"), Shape(1024, **SMALL))
    assert found.forms == {}
    assert "line 11: ValueError: no more than 4096 tokens" in found.missing
