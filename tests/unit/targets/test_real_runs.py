"""Code that fake tensors mislead, counted on real ones. Products by hand: projections 8 n D^2, core 4 n m D for m keys.

Saved bytes are held to `saved_tensors_hooks` on a real run, peaks to the CPU allocator's own events.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from attnprof.closed_forms.derive import closed_forms
from attnprof.counting import believed
from attnprof.counting.counted import count
from attnprof.errors import Failed, Unsupported
from attnprof.shapes import Shape
from attnprof.targets import door
from attnprof.usercode import UserCode
from attnprof.words import Pass
from tests.fakes.saved_hooks import saved_by_hooks
from tests.unit.counting.allocator import measured_peak

OWN = Path(__file__).parents[2] / "fakes" / "user_code.py"
N, D = 96, 64
SHAPE = Shape(N, dim=D, heads=4)
PROJECTIONS = 8 * N * D**2
KEYS = {"Item": N, "Branch": N, "ToList": N // 2, "Nonzero": N // 2, "Unique": N // 2, "MaskedSelect": N // 2}
SCALAR = 16  # what an allocator gives a single number


def found(name: str) -> UserCode:
    target = door.find(f"{OWN}:{name}")
    assert isinstance(target, UserCode)
    return target


@pytest.mark.parametrize("pass_", [Pass.FORWARD, Pass.TRAIN])
@pytest.mark.parametrize("name", KEYS)
def test_code_that_reads_values_is_counted_on_real_tensors(name: str, pass_: Pass) -> None:
    counted = count(found(name), SHAPE, pass_)
    core = 4 * N * KEYS[name] * D
    times = 3 if pass_ is Pass.TRAIN else 1
    assert counted.cost.flops_executed == times * (PROJECTIONS + core)
    assert counted.cost.flops_core_executed == times * core
    assert counted.cost.method == "dispatch on real tensors"
    assert "counted_on_real_tensors" in counted.flags
    assert "fake tensors" in counted.reasons["method"]


@pytest.mark.parametrize("pass_", [Pass.FORWARD, Pass.TRAIN])
@pytest.mark.parametrize("name", ["Item", "Nonzero", "MaskedSelect"])
def test_memory_of_a_real_run_is_the_allocator_s(name: str, pass_: Pass) -> None:
    target = found(name)
    cost = count(target, SHAPE, pass_).cost
    module = target.build(SHAPE).train(pass_ is Pass.TRAIN)
    measured = measured_peak(module, target.inputs(SHAPE), pass_)
    assert cost.peak_bytes is not None
    assert abs(measured - cost.peak_bytes) <= SCALAR
    if pass_ is Pass.TRAIN:
        assert cost.saved_bytes == saved_by_hooks(target.build(SHAPE).train(), target.inputs(SHAPE))


def test_a_constructor_that_reads_values_is_no_reason_for_a_real_run() -> None:
    counted = count(found("ReadsWhenMade"), SHAPE, Pass.FORWARD)
    assert counted.cost.flops_executed == PROJECTIONS + 4 * N**2 * D
    assert counted.cost.method == "dispatch on fake tensors"


@pytest.mark.parametrize("name", ["Coo", "Csr"])
def test_sparse_products_count_their_stored_values(name: str) -> None:
    counted = count(found(name), SHAPE, Pass.FORWARD)
    assert counted.cost.flops_executed == PROJECTIONS + 2 * N * D  # n stored scores, each times a row of D
    assert counted.cost.flops_core_executed == 2 * N * D
    assert "workspace_of_sparse_kernels_unknown" in counted.flags


@pytest.mark.parametrize("pass_", [Pass.FORWARD, Pass.TRAIN])
def test_jagged_tensors_are_counted_by_their_rows(pass_: Pass) -> None:
    cost = count(found("Jagged"), SHAPE, pass_).cost
    forward = 2 * 2 * N * D**2
    assert cost.flops_executed == forward * (3 if pass_ is Pass.TRAIN else 1)


def test_a_cost_that_depends_on_the_data_says_so() -> None:
    assert "depends_on_data" in count(found("ByData"), SHAPE, Pass.FORWARD).flags
    assert "depends_on_data" not in count(found("Nonzero"), SHAPE, Pass.FORWARD).flags


def test_a_run_that_differs_when_traced_is_counted_for_real_and_says_how() -> None:
    traced, plain = (count(found(name), SHAPE, Pass.TRAIN) for name in ("Traced", "Plain"))
    assert {"differs_when_traced", "counted_on_real_tensors"} <= set(traced.flags)
    assert "+add" in traced.reasons["method"]
    for figure in ("flops_executed", "flops_core_executed", "arith_ops", "exp_ops", "saved_bytes", "peak_bytes"):
        assert getattr(traced.cost, figure) == getattr(plain.cost, figure), figure
    assert "counted_on_real_tensors" not in plain.flags


@pytest.mark.parametrize("pass_", [Pass.FORWARD, Pass.TRAIN])
def test_beyond_what_fits_counts_are_continued_exactly(pass_: Pass, monkeypatch: pytest.MonkeyPatch) -> None:
    shape = Shape(2048, dim=D, heads=4)
    whole = count(found("Traced"), shape, pass_)
    assert whole.cost.method == "dispatch on real tensors"
    monkeypatch.setattr(believed, "MOST_BYTES", 2**26)
    counted = count(found("Traced"), shape, pass_)
    assert "interpolated" in counted.flags
    for figure in ("flops_executed", "flops_core_executed", "exp_ops", "arith_ops", "saved_bytes", "peak_bytes"):
        assert getattr(counted.cost, figure) == getattr(whole.cost, figure), figure


@pytest.mark.parametrize(("name", "n"), [("ByData", 4096), ("Item", 4097)])
def test_what_cannot_be_continued_is_absent_with_its_reason(name: str, n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(believed, "MOST_BYTES", 2**26)
    with pytest.raises(Unsupported, match="has to be run on real tensors"):
        count(found(name), Shape(n, dim=D, heads=4), Pass.FORWARD)


def test_no_formula_rests_on_fake_tensors_that_mislead() -> None:
    forms = closed_forms(found("Traced"), Shape(4096, dim=D, heads=4))
    assert forms.forms == {}
    assert "counted on real tensors" in forms.missing


@pytest.mark.parametrize(
    ("name", "pass_", "said"), [("Breaks", Pass.FORWARD, "luck"), ("BreaksBackward", Pass.TRAIN, "gradient")]
)
def test_what_a_user_s_code_raises_names_the_line_and_the_call(name: str, pass_: Pass, said: str) -> None:
    with pytest.raises(Failed, match=f"user_code.py:{name} fails, line [0-9]+: ValueError: no {said} today") as caught:
        count(found(name), SHAPE, pass_)
    assert caught.value.hint == f"it was called as forward(x=[1, {N}, {D}])"
