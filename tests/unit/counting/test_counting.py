"""The count itself: its certificate, what is refused, decoding, the second opinion, the short way, useful work."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attnprof.counting import count, register
from attnprof.counting.counter import OperatorCounter
from attnprof.counting.registry import formulas, rules
from attnprof.counting.tiles import flash_cpu, staircase
from attnprof.errors import Unsupported
from attnprof.shapes import Shape
from attnprof.targets import door
from attnprof.words import Pass
from tests.unit.counting.modules import ModuleTarget

PASSES: tuple[Pass, ...] = ("forward", "train")


class Heavy(nn.Module):
    """A custom operator that nobody knows the cost of."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.ops.attnprof_test.heavy(x @ x.transpose(1, 2))


@pytest.fixture(scope="module")
def heavy() -> Iterator[ModuleTarget]:
    library = torch.library.Library("attnprof_test", "DEF")
    library.define("heavy(Tensor x) -> Tensor")
    library.impl("heavy", lambda x: x.clone(), "CompositeExplicitAutograd")
    yield ModuleTarget(Heavy, lambda: (torch.randn(2, 8, 4),))
    library._destroy()


def test_a_total_with_an_uncounted_operator_is_refused_and_says_how_to_register(heavy: ModuleTarget) -> None:
    counted = count(heavy, Shape(8), "forward")
    assert counted.cost.flops_executed is None
    assert counted.cost.flops_core_executed is None
    assert "attnprof_test.heavy" in counted.reasons["flops_executed"]
    assert "attnprof.counting.register" in counted.reasons["flops_executed"]
    certificate = counted.cost.certificate
    assert certificate is not None
    assert [(op.op, op.calls) for op in certificate.uncounted] == [("attnprof_test.heavy", 1)]


def test_a_registered_formula_completes_the_total(heavy: ModuleTarget) -> None:
    operator = torch.ops.attnprof_test.heavy
    register(operator)(lambda x, out: 10 * x.numel())
    try:
        counted = count(heavy, Shape(8), "forward")
    finally:
        del formulas[operator]
        rules.clear()
    assert counted.cost.flops_executed == 2 * 2 * 8 * 8 * 4 + 10 * 2 * 8 * 8


def test_the_certificate_names_operators_calls_kernel_and_tile() -> None:
    counted = count(door.find("flash"), Shape(1024, causal=True), "train")
    certificate = counted.cost.certificate
    assert certificate is not None
    assert certificate.backend == "flash (CPU)"
    assert certificate.tile == "256 x 512 (CPU flash)"
    assert "Recomputation" in certificate.convention
    assert sum(op.flops for op in certificate.counted) == counted.cost.flops_executed
    assert not certificate.uncounted


@pytest.mark.parametrize("n", [1, 33, 500, 768, 1000, 1024, 1536])
@pytest.mark.parametrize("m", [1, 512, 700, 1024])
def test_tiles_of_the_cpu_kernel_cover_what_is_kept_and_stay_within_the_square(n: int, m: int) -> None:
    assert staircase(n, m, 0) <= flash_cpu(n, m, True).pairs <= n * m == flash_cpu(n, m, False).pairs


@pytest.mark.parametrize(("n", "m"), [(1, 1), (5, 3), (3, 5), (7, 7), (1, 9)])
@pytest.mark.parametrize("bottom_right", [False, True])
def test_triangles_count_the_pairs_of_a_mask(n: int, m: int, bottom_right: bool) -> None:
    shift = m - n if bottom_right else 0
    mask = torch.ones(n, m, dtype=torch.bool).tril(shift)
    assert staircase(n, m, shift) == int(mask.sum())


def test_the_cpu_kernel_reads_key_blocks_up_to_the_query_blocks_end() -> None:
    # 1024 queries in blocks of 256 against keys in blocks of 512: two blocks read 512 keys, two read 1024.
    assert flash_cpu(1024, 1024, True).pairs == 256 * (512 + 512 + 1024 + 1024)


@pytest.mark.parametrize("pass_", PASSES)
@pytest.mark.parametrize("name", ["dense", "flash", "sliding_window", "linear", "performer"])
def test_the_short_way_gives_the_same_record(name: str, pass_: Pass, monkeypatch: pytest.MonkeyPatch) -> None:
    target = door.find(name)
    shape = Shape(640, causal=target.card.native_causal, dim=64, heads=2)
    short = count(target, shape, pass_)
    monkeypatch.setattr(OperatorCounter, "short", lambda *_: NotImplemented)
    assert count(door.find(name), shape, pass_) == short


def test_useful_work_is_that_of_the_edges() -> None:
    counted = count(door.find("dense"), Shape(100, batch=3, dim=64, heads=4, causal=True), "train")
    assert counted.cost.flops_core_useful == 3 * 3 * 4 * 4 * 16 * (100 * 101 // 2)


def test_a_scheme_without_edges_has_no_useful_work_and_says_so() -> None:
    counted = count(door.find("linear"), Shape(128, dim=64, heads=4), "forward")
    assert counted.cost.flops_core_useful is None
    assert "no edges" in counted.reasons["flops_core_useful"]


def test_core_and_projections_are_told_apart() -> None:
    target, shape = door.find("dense"), Shape(96, dim=64, heads=4)
    cost = count(target, shape, "train").cost
    assert cost.flops_executed is not None
    assert cost.flops_core_executed == 3 * 4 * 96 * 96 * 64
    assert cost.flops_executed - cost.flops_core_executed == 3 * 8 * 96 * 64 * 64
    alone = count(target, shape.replace(level="core"), "train").cost
    assert alone.flops_executed == alone.flops_core_executed == cost.flops_core_executed


def test_saved_bytes_of_explicit_softmax_are_q_k_v_and_one_matrix_a_head() -> None:
    n, h, d = 1024, 2, 32
    cost = count(door.find("dense"), Shape(n, dim=h * d, heads=h, level="core"), "train").cost
    assert cost.saved_bytes == 4 * (3 * h * n * d + h * n * n)


def test_saved_bytes_of_the_cpu_flash_kernel_are_q_k_v_the_output_and_the_normaliser() -> None:
    n, h, d = 1024, 2, 32
    cost = count(door.find("flash"), Shape(n, dim=h * d, heads=h, level="core"), "train").cost
    assert cost.saved_bytes == 4 * (4 * h * n * d + h * n)


def test_decoding_reads_its_state_once_and_knows_its_growth() -> None:
    shape = Shape(256, dim=64, heads=4, causal=True)
    cost = count(door.find("linear"), shape, "decode").cost
    assert cost.state_bytes == cost.decode_read_bytes
    assert cost.state_growth_bytes == 0
    assert cost.flops_core_executed is not None
    assert 0 < cost.flops_core_executed < (cost.flops_executed or 0)


def test_a_target_without_a_state_cannot_decode() -> None:
    with pytest.raises(Unsupported):
        count(ModuleTarget(lambda: nn.Linear(4, 4), lambda: (torch.randn(1, 8, 4),)), Shape(8), "decode")


def test_fvcore_agrees_on_eager_code_and_is_not_asked_about_fused_attention() -> None:
    eager = count(door.find("dense"), Shape(256, dim=64, heads=4), "forward", second_opinion=True)
    assert eager.cost.second_opinion == {"fvcore": eager.cost.flops_executed}
    assert "second_opinion_differs" not in eager.flags
    fused = count(door.find("flash"), Shape(256, dim=64, heads=4), "forward", second_opinion=True)
    assert fused.cost.second_opinion == {"fvcore": None}
    assert "fused" in fused.reasons["second_opinion"]


def test_operations_beside_products_are_counted_by_kind() -> None:
    def softmax_of_best(x: Tensor) -> Tensor:
        return x.topk(4, -1).values.softmax(-1)

    class Module(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return softmax_of_best(x)

    cost = count(ModuleTarget(Module, lambda: (torch.randn(2, 8, 16),)), Shape(8), "forward").cost
    assert (cost.exp_ops, cost.arith_ops, cost.select_ops) == (2 * 8 * 4, 4 * 2 * 8 * 4, 2 * 8 * 16)


def test_a_table_that_the_first_pass_builds_is_not_charged_to_later_ones() -> None:
    class Lazy(nn.Module):
        mask: Tensor | None = None

        def forward(self, x: Tensor) -> Tensor:
            if self.mask is None:
                self.mask = torch.ones(x.shape[1], x.shape[1]).tril()
            return (x @ x.transpose(1, 2)) * self.mask

    class Eager(nn.Module):
        mask: Tensor

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("mask", torch.ones(64, 64).tril())

        def forward(self, x: Tensor) -> Tensor:
            return (x @ x.transpose(1, 2)) * self.mask

    peaks = [
        count(ModuleTarget(make, lambda: (torch.randn(1, 64, 8),)), Shape(64), "train").cost.peak_bytes
        for make in (Lazy, Eager)
    ]
    assert peaks[0] == peaks[1]


def test_grouped_queries_cost_flops_by_query_heads_and_bytes_by_kv_heads() -> None:
    def fused(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(q, k, v, enable_gqa=True)

    class Grouped(nn.Module):
        def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            return fused(q, k, v)

    def feed() -> tuple[Tensor, ...]:
        return torch.randn(1, 8, 64, 16), torch.randn(1, 2, 64, 16), torch.randn(1, 2, 64, 16)

    cost = count(ModuleTarget(Grouped, feed), Shape(64), "train").cost
    assert cost.flops_executed == 14 * 8 * 64 * 64 * 16
    assert cost.saved_bytes == 4 * (2 * 8 * 64 * 16 + 2 * 2 * 64 * 16 + 8 * 64)


def test_a_count_is_repeatable() -> None:
    target, shape = door.find("sliding_window"), Shape(512, dim=64, heads=4)
    first, second = (dataclasses.asdict(count(target, shape, "train")) for _ in range(2))
    assert first == second


def test_flex_attention_costs_its_live_tiles() -> None:
    counted = count(door.find("sliding_window", impl="flex"), Shape(1024, causal=True, level="core"), "forward")
    # Tiles of 128 x 128: a causal window of 512 leaves 1, 2, 3, 4, 5, 5, 5, 5 of them alive in the eight rows.
    assert counted.cost.flops_executed == 30 * 128 * 128 * 4 * 64 * 8
    assert counted.cost.certificate is not None
    assert counted.cost.certificate.tile == "128 x 128 (live tiles of the BlockMask)"


@pytest.mark.parametrize("pass_", PASSES)
def test_flops_by_module_add_up_and_name_the_parts(pass_: Pass) -> None:
    from attnprof.plan.by_module import flops_by_module

    target, shape = door.find("dense"), Shape(96, dim=64, heads=4)
    parts = flops_by_module(target, shape, pass_)
    times = 3 if pass_ == "train" else 1
    projection = times * 2 * 96 * 64 * 64
    assert parts["project.to_q"] == parts["out"] == projection
    assert parts["core"] == times * 4 * 96 * 96 * 64
    assert sum(parts.values()) == count(target, shape, pass_).cost.flops_executed


@pytest.mark.parametrize("name", ["cross", "dense"])
@pytest.mark.parametrize(("n", "m"), [(64, 160), (160, 64)])
def test_useful_work_of_a_rectangle_is_its_area(name: str, n: int, m: int) -> None:
    counted = count(door.find(name), Shape(n=n, m=m, dim=16, heads=2), "forward")
    assert counted.cost.flops_core_useful == counted.cost.flops_core_executed == 4 * n * m * 16
    assert counted.cost.flops_paper == 4 * n * m * 16


def test_a_causal_rectangle_aligns_its_last_queries() -> None:
    counted = count(door.find("dense"), Shape(n=3, m=5, dim=16, heads=2, causal=True), "forward")
    assert counted.cost.flops_core_useful == 4 * (3 + 4 + 5) * 16
