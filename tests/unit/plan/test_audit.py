"""Other counters: each mistake is told by its cause, and only where the cause gives the figure; a crash is a row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from attnprof.contracts import Target
from attnprof.plan.auditing import AuditRow, audited, exact_of, habits, what_ran
from attnprof.plan.counters import COUNTERS, CounterReading, OtherCounter
from attnprof.plan.explain import Exact, Ran, by_operators, by_trace, by_traits, unexplained
from attnprof.plan.habits import Traits
from attnprof.shapes import Shape
from attnprof.targets import door
from attnprof.words import Pass
from tests.unit.counting.modules import ModuleTarget

SHAPE = Shape(256, dim=64, heads=4)
N, D, H = 128, 64, 4
FVCORE, TORCH = COUNTERS[:2]


def rows(target: Target, shape: Shape, *counters: OtherCounter) -> dict[str, AuditRow]:
    return {row.counter: row for row in audited(target, shape, counters).rows}


def target(make: Callable[[], nn.Module], *size: int) -> ModuleTarget:
    return ModuleTarget(make, lambda: (torch.randn(*(size or (1, N, D))),))


class Frozen(nn.Module):
    """`nn.MultiheadAttention` whose parameters ask for no gradient: torch takes its fused path even in evaluation."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.MultiheadAttention(D, H, batch_first=True).requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x, x, x, need_weights=False)[0]


# By hand: four projections, 2 n D D each, and two products of n n D.
MULTIHEAD = 8 * N * D * D + 4 * N * N * D


def test_torch_and_fvcore_agree_on_eager_attention() -> None:
    audit = audited(door.find("dense"), SHAPE, COUNTERS[:2])
    found = {row.counter: row for row in audit.rows}
    assert found["fvcore"].forward == found["torch FlopCounterMode"].forward == audit.exact["forward"]
    assert found["torch FlopCounterMode"].train == audit.exact["train"]
    assert {row.status for row in audit.rows} == {"agrees"}


def test_a_fused_kernel_is_named_where_it_is_missed() -> None:
    fused = exact_of(door.find("flash"), SHAPE, Pass.FORWARD).fused
    assert fused == 4 * 256 * 256 * 64
    found = rows(door.find("flash"), SHAPE, TORCH, FVCORE)
    kernel = "_scaled_dot_product_flash_attention_for_cpu"
    told = f"counts fused attention as nothing: it has no formula for {kernel} ({fused:,} FLOPs)"
    assert f"forward: {told}" in found["torch FlopCounterMode"].why
    assert f"{kernel}_backward ({fused * 5 // 2:,} FLOPs)" in found["torch FlopCounterMode"].why
    assert f"no formula for scaled_dot_product_attention ({fused:,} FLOPs)" in found["fvcore"].why


@pytest.mark.parametrize("counter", [FVCORE, TORCH], ids=lambda counter: counter.name)
def test_a_zero_on_torchs_fast_path_is_told_by_that_path(counter: OtherCounter) -> None:
    (row,) = rows(target(Frozen), Shape(N, dim=D, heads=H), counter).values()
    assert row.forward == 0
    path = "forward: counts torch's fused path for inference as nothing: it has no formula for"
    assert f"{path} _native_multi_head_attention ({MULTIHEAD:,} FLOPs)" in row.why
    assert "modules" not in row.why


def test_the_cause_of_that_zero_is_the_fast_path() -> None:
    """Off it the same counter sees the same work."""
    module, x = Frozen().eval(), torch.randn(1, N, D)
    assert what_ran(module, (x,), Pass.FORWARD).fast_path == ("_native_multi_head_attention",)
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        assert TORCH.read(Pass.FORWARD, module, (x,)).flops == MULTIHEAD - 4 * N * N * D
    finally:
        torch.backends.mha.set_fastpath_enabled(True)


@pytest.mark.parametrize("groups", [2, 8, 64])
def test_the_groups_that_torchs_counter_ignores_are_told_with_their_number(groups: int) -> None:
    convolution = lambda: nn.Conv1d(D, D, 3, padding=1, groups=groups)  # noqa: E731
    (row,) = rows(target(convolution, 1, D, N), Shape(N, dim=D, heads=H), TORCH).values()
    one = 2 * N * D * (D // groups) * 3
    assert row.train == 3 * one + (groups - 1) * one
    assert f"{groups - 1} convolutions more for groups = {groups}, +{(groups - 1) * one:,} FLOPs" in row.why


def test_no_groups_are_blamed_where_there_are_none() -> None:
    convolution = lambda: nn.Conv1d(D, D, 3, padding=1)  # noqa: E731
    (row,) = rows(target(convolution, 1, D, N), Shape(N, dim=D, heads=H), TORCH).values()
    assert row.status == "agrees"


class Normed(nn.Module):
    """A norm before a projection: fvcore counts the norm as work."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.LayerNorm(D), nn.Linear(D, D))

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)


def test_what_fvcore_adds_is_named_with_its_figure() -> None:
    (row,) = rows(target(Normed), Shape(N, dim=D, heads=H), FVCORE).values()
    assert row.forward is not None
    added = row.forward - 2 * N * D * D
    assert added > 0
    assert f"adds work that is no product: layer_norm (+{added:,} FLOPs)" in row.why


def flawed(name: str, count: Callable[..., int]) -> OtherCounter:
    """A counter with a mistake of its own: `count` is its figure for a module and its inputs."""
    return OtherCounter(name, "torch", count)


def right(module: nn.Module, inputs: tuple[Any, ...]) -> Mapping[str, int]:
    return what_ran(module.eval(), inputs, Pass.FORWARD).flops


def total(module: nn.Module, inputs: tuple[Any, ...]) -> int:
    return sum(right(module, inputs).values())


def of_modules(module: nn.Module, inputs: tuple[Any, ...]) -> int:
    """What hooks on linear layers count."""
    found: list[int] = []
    hooks = [
        part.register_forward_hook(lambda m, x, y: found.append(2 * y.numel() * m.in_features))
        for part in module.modules()
        if isinstance(part, nn.Linear)
    ]
    with torch.no_grad():
        module(*inputs)
    for hook in hooks:
        hook.remove()
    return sum(found)


def without_fused(module: nn.Module, inputs: tuple[Any, ...]) -> int:
    return sum(flops for name, flops in right(module, inputs).items() if "scaled_dot" not in name)


def once(module: nn.Module, inputs: tuple[Any, ...]) -> int:
    return sum(2 * part.weight.numel() for part in module.modules() if isinstance(part, nn.Linear))


def whole_square(module: nn.Module, inputs: tuple[Any, ...]) -> int:
    x = inputs[0]
    squares = sum(1 for name in right(module, inputs) if "scaled_dot" in name)
    return without_fused(module, inputs) + squares * 4 * x.shape[0] * x.shape[1] ** 2 * x.shape[2]


MISTAKES: dict[str, tuple[Callable[..., int], str, str]] = {
    "multiply-adds": (lambda m, x: total(m, x) // 2, "dense", "reports multiply-adds as FLOPs"),
    "twice": (lambda m, x: 2 * total(m, x), "dense", "counts a multiply-add twice over"),
    "modules": (of_modules, "dense", "counts no product between activations"),
    "half of modules": (
        lambda m, x: of_modules(m, x) // 2, "dense",
        "counts no product between activations and reports multiply-adds as FLOPs",
    ),
    "no fused": (without_fused, "flash", "counts fused attention as nothing"),
    "once": (once, "dense", "counts a linear layer once a sequence"),
    "square": (whole_square, "flash", "counts causal attention as if nothing were skipped"),
    # Causes that the counter does not have on products that are known by hand are not told, whatever the figure.
    "half by chance": (lambda m, x: total(m, x) // (2 if x[0].shape[1] > 100 else 1), "dense", "not explained: -50.0%"),
    "zero by chance": (lambda m, x: 0 if x[0].shape[1] > 100 else total(m, x), "dense", "not explained: -100.0%"),
    "a little more": (lambda m, x: total(m, x) * 101 // 100, "dense", "not explained: +1.0%"),
    "a lot more": (lambda m, x: 5 * total(m, x), "dense", "not explained: +400.0%"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_where_the_counter_makes_it_on_one_product_too(name: str) -> None:
    count, scheme, told = MISTAKES[name]
    habits.cache_clear()
    shape = Shape(1024, dim=64, heads=4, causal=scheme == "flash")
    counter = flawed(f"flawed {name}", count)
    if name in ("twice", "a lot more"):
        assert habits(counter).linear == (2 if name == "twice" else 5)
    (row,) = audited(door.find(scheme), shape, [counter]).rows
    assert row.status == "differs"
    assert told in row.why


class Functional(nn.Module):
    """Products in no module that a counter of modules knows."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.randn(D, D))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.w


def test_only_a_counter_of_modules_is_told_to_count_modules() -> None:
    shape = Shape(N, dim=D, heads=H)
    (row,) = audited(target(Functional), shape, [flawed("of modules", of_modules)]).rows
    assert "counts modules, and these products are in none that it knows" in row.why
    nothing = flawed("nothing", lambda m, x: total(m, x) * (x[0].shape[1] < 100))
    (row,) = audited(target(Functional), shape, [nothing]).rows
    assert "modules" not in row.why
    assert "not explained: -100.0%" in row.why


EXACT = Exact(total=1000, core=600, fused=600, fused_dense=1100, weights=7)


def test_operators_that_do_not_add_up_explain_nothing() -> None:
    ran = Ran({"mm": 400, "_scaled_dot_product_flash_attention_for_cpu": 600})
    assert "no formula for _scaled" in by_operators(CounterReading(400, {"mm": 400}), EXACT, ran)
    assert by_operators(CounterReading(500, {"mm": 500}), EXACT, ran) == ""
    assert by_operators(CounterReading(450, {"mm": 400}), EXACT, ran) == ""
    assert by_operators(CounterReading(400, {"mm": 400}), EXACT, Ran({"mm": 400})) == ""
    assert (
        by_operators(CounterReading(1100, {"convolution_backward": 1100}), EXACT, Ran({"convolution_backward": 1000}))
        == ""
    )


def test_a_trace_explains_what_it_skipped_and_what_it_added() -> None:
    assert "no formula for lstm (400 FLOPs)" in by_trace(CounterReading(600, {"linear": 600}, ("lstm", "tanh")), EXACT)
    assert by_trace(CounterReading(600, {"linear": 600}, ("tanh",)), EXACT) == ""
    assert by_trace(CounterReading(1200, {"linear": 1200}), EXACT) == ""
    assert "layer_norm (+10 FLOPs)" in by_trace(CounterReading(1010, {"linear": 1000, "layer_norm": 10}), EXACT)


def test_habits_explain_a_figure_to_the_digit_only() -> None:
    habit = Traits(linear=Fraction(1), between=Fraction(0), fused=Fraction(0), functional=Fraction(1))
    assert by_traits(400, EXACT, habit, True) == "counts fused attention as nothing"
    assert by_traits(401, EXACT, habit, True) == ""
    assert by_traits(0, EXACT, habit, False) == ""
    assert "elementwise" in unexplained(401, EXACT, Traits(softmax=64))


def test_a_counter_that_crashes_is_a_row() -> None:
    def crash(module: nn.Module, inputs: object) -> int:
        raise ZeroDivisionError("no tokens")

    audit = audited(door.find("dense"), SHAPE, [flawed("crashing", crash)])
    assert [(row.status, row.forward) for row in audit.rows] == [("failed", None)]
    assert "ZeroDivisionError: no tokens" in audit.rows[0].why


def test_counters_that_are_not_installed_are_named_apart() -> None:
    missing = OtherCounter("abacus", "no-such-distribution", total)
    audit = audited(door.find("dense"), SHAPE, [missing])
    assert audit.rows == ()
    assert audit.absent == ("abacus",)


@pytest.mark.parametrize("counter", [c for c in COUNTERS if not c.names], ids=lambda c: c.name)
def test_public_counters_are_told_only_what_their_habits_give(counter: OtherCounter) -> None:
    if counter.version is None:
        pytest.skip(f"{counter.name} is not installed")
    (row,) = audited(door.find("dense"), SHAPE, [counter]).rows
    if row.status == "differs":
        found = habits(counter)
        assert "no product between" not in row.why or found.between == 0
        assert "once a sequence" not in row.why or found.once
        assert "multiply-adds as FLOPs" not in row.why or (found.linear or 1) < 1
