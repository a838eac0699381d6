"""Plans of long sequences, at short ones: with the bounds of tables drawn in, every edge is executed once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from attnprof.layers.gathered import GatherCore
from attnprof.layers.lowering import lower as lowering
from attnprof.layers.lowering import masks, parts, triangle
from attnprof.layers.lowering.lower import lower
from attnprof.layers.lowering.tiling import TilePlan
from attnprof.layers.lowering.touched import from_tiles
from attnprof.pattern import Band, Blocks, Dense, Expr, Global, Offsets, Segments, Strided, Summary
from tests.laws.expressions import NAMES, expressions
from tests.laws.test_tiles import executed_edges
from tests.unit.impl.test_of_edges import assert_same, spec

LENGTHS = (1, 5, 37, 64, 100)
WIDE: dict[str, Callable[[int], Expr]] = {
    "dense and a band": lambda n: Dense() | Band(3),
    "causal dense and a causal band": lambda n: Dense(causal=True) | Band(3),
    "causal dense and a little future": lambda n: Dense(causal=True) | Band(0, 5),
    "causal dense and an odd lag of the future": lambda n: Dense(causal=True) | Offsets((-3, -40)),
    "causal dense and globals": lambda n: Dense(causal=True) | Global(2),
    "causal dense and a segment": lambda n: Dense(causal=True) | Segments((0, 7)),
    "two strides": lambda n: Strided(2) | Strided(3, causal=True),
    "two causal strides": lambda n: Strided(2, causal=True) | Strided(3, causal=True),
    "three strides": lambda n: Strided(3) | Strided(5) | Strided(7),
    "past of all": lambda n: Dense().past(),
    "axial of short rows": lambda n: Blocks(2, causal=True) | Strided(2, causal=True),
    "globals, causal": lambda n: Band(3) | Global(5, causal=True),
    "late globals, causal": lambda n: Band(3) | Global(9, 4, causal=True),
    "summaries of short blocks": lambda n: Summary(3, 1, 3, causal=True),
    "summaries both ways": lambda n: Blocks(3) | Summary(3, 1, 3),
    "wide blocks": lambda n: Blocks(40, 1, 0, causal=True),
    "past of a union": lambda n: (Band(3, 3) | Strided(2)).past(),
}
ALL: dict[str, Callable[[int], Expr]] = {
    **{name: (lambda n, name=name: expressions(n)[name]) for name in NAMES},
    **WIDE,
}


@pytest.fixture(params=["wide", "narrow tables", "no tables"])
def bounds(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Bounds that short sequences are beyond: of tiles, of masks made with a plan, of tables altogether."""
    monkeypatch.setattr(triangle, "ROWS", 4)
    for module in (parts, lowering):
        monkeypatch.setattr(module, "ONE_TILE", 8)
    if request.param != "wide":
        for module in (masks, parts):
            monkeypatch.setattr(module, "SMALL", 0)
    if request.param == "no tables":
        monkeypatch.setattr(masks, "MOST", 500)
    return request.param


@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("name", ALL)
def test_every_edge_is_executed_exactly_once(name: str, n: int, bounds: str) -> None:
    expr = ALL[name](n)
    assert (executed_edges(lower(expr, n)) == expr.slices(n).dense()).all()


@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("name", ALL)
def test_tiles_that_are_looked_for_are_the_pattern(name: str, n: int) -> None:
    expr = ALL[name](n)
    plan = TilePlan(n, tuple(from_tiles(expr, n)))
    assert (executed_edges(plan) == expr.slices(n).dense()).all()


@pytest.mark.parametrize("name", ALL)
def test_outputs_and_gradients_are_those_of_the_masked_softmax(name: str, bounds: str) -> None:
    of = spec(37, lambda layer, head: ALL[name](37), 2, 2)
    assert_same(GatherCore(of), of)


def test_heads_of_different_width_run_apart_and_right(bounds: str) -> None:
    draws = (Dense(causal=True), Strided(2, causal=True), Band(4), Dense(causal=True) | Global(2))
    of = spec(50, lambda layer, head: draws[head], 4, 2, kinds=4)
    assert_same(GatherCore(of), of)


@pytest.mark.parametrize("n", [1, 5, 100, 257, 1000])
@pytest.mark.parametrize("name", ALL)
def test_edges_and_degrees_are_counted_without_a_list(name: str, n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attnprof.pattern.expr.PIECE_SLICES", 300)
    expr = ALL[name](n)
    mask = expr.slices(n).dense()
    assert expr.edges(n) == mask.sum()
    assert (expr.degrees(n) == mask.sum(1)).all()
    assert np.concatenate([piece.csr()[1] for piece in expr.pieces(n)]).size == mask.sum()
    lags = expr.by_lag(n)
    if lags is not None:
        i, j = np.nonzero(mask)
        assert set((i - j).tolist()) == set((np.flatnonzero(lags) + 1 - n).tolist())


@pytest.mark.parametrize(("blocks", "rows"), [(1, 256), (8, 256), (257, 256)])
def test_a_causal_triangle_computes_the_block_triangle(blocks: int, rows: int) -> None:
    """G blocks of B rows: G (G + 1) / 2 tiles of B x B, half of all pairs and half a block a row."""
    n = blocks * rows
    computed = sum(part.executed for part in triangle.triangle(n, lowering.NATURAL))
    assert computed == blocks * (blocks + 1) // 2 * rows * rows


def test_a_dense_part_is_one_product() -> None:
    plan = lower(Dense(), 5000)
    assert plan.executed == 5000 * 5000
    assert len(plan.stacks) == len(plan.stacks[0].parts) == 1


def test_a_fake_plan_and_a_real_one_have_the_same_buffers(bounds: str) -> None:
    """What is made lazily when counting has the shape and type of what is made for real."""
    from attnprof.torch_private import fake_mode

    for name in ("dense causal", "two strides", "band and globals", "block table causal", "offsets", "past of a union"):
        of = spec(64, lambda layer, head, name=name: ALL[name](64), 2, 2)
        real = {k: (v.shape, v.dtype) for k, v in GatherCore(of).state_dict().items()}
        with fake_mode():
            fake = {k: (v.shape, v.dtype) for k, v in GatherCore(of).state_dict().items()}
        assert fake == real
        assert all(dtype in (torch.bool, torch.int64) for _, dtype in real.values())
