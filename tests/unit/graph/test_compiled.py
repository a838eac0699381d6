from __future__ import annotations

import numpy as np
import pytest

from attnprof.graph.engines import bits
from attnprof.graph.engines.by_slices import coarse
from attnprof.graph.ladder import solve
from attnprof.graph.layered import LayeredRelation
from attnprof.graph.reach import Reach, ReachRequest
from attnprof.graph.token_edges import TokenEdges
from attnprof.pattern import Band, BlockTable, Expr, Global, Slices
from tests.unit.graph.zoo import brute_hops, stack_of, zoo


def answer(stack: LayeredRelation, engine: str, ask: ReachRequest) -> tuple[Reach, dict[str, object]]:
    reach = solve(stack, ask, engine)
    numbers = {
        "histogram": reach.histogram.tolist(),
        "out": reach.farthest_out.tolist(),
        "into": reach.farthest_in.tolist(),
        "layers": reach.layers,
        "images": {layer: image.tolist() for layer, image in reach.images.items()},
    }
    return reach, numbers


@pytest.mark.parametrize("engine", ["slices", "csr"])
@pytest.mark.parametrize("name", list(zoo(128)))
def test_compiled_loops_give_numpys_bits(name: str, engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("numba", reason="the extra attnprof[fast] is not installed")
    stack, ask = stack_of(name, 128), ReachRequest(side=16)
    monkeypatch.setattr(bits, "WORTH_COMPILING", 0)
    fast, expected = answer(stack, engine, ask)
    monkeypatch.setattr(bits, "compiler_installed", lambda: False)
    plain, numbers = answer(stack, engine, ask)
    assert (fast.engine, plain.engine) == (f"{engine} (numba)", engine)
    assert numbers == expected


def test_without_numba_or_for_little_work_numpy_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    small, large = (LayeredRelation.single(Band(8, 8).slices(n)) for n in (512, 1 << 17))
    monkeypatch.setattr(bits, "compiler_installed", lambda: True)
    assert not bits.worth_compiling(small, edges=True)
    assert bits.worth_compiling(large, edges=False)
    monkeypatch.setattr(bits, "compiler_installed", lambda: False)
    assert not bits.worth_compiling(large, edges=False)


def scattered_blocks(blocks: int, size: int) -> Slices:
    """Blocks that read two random ones, often not their own."""
    table = np.random.default_rng(1).integers(0, blocks, (blocks, 2))
    return BlockTable(size, table).slices(blocks * size)


@pytest.mark.parametrize("causal", [False, True])
def test_blocks_inside_the_range_or_do_not_change_the_bits(causal: bool) -> None:
    slices = scattered_blocks(16, 16)
    assert coarse(slices) is not None
    mixed = [slices, Band(3, 3).slices(256)]
    kinds = tuple(TokenEdges(kind.past().disjoint() if causal else kind) for kind in mixed)
    stack = LayeredRelation(256, kinds, causal)
    hops = brute_hops(stack)
    found = solve(stack, ReachRequest(), "slices")
    assert found.histogram.tolist() == np.bincount(hops[hops >= 0]).tolist()
    assert found.farthest_out.tolist() == hops.max(axis=1).tolist()


def test_a_row_without_keys_stays_without_them_among_blocks() -> None:
    slices = scattered_blocks(16, 16)
    cut = slices.take((slices.row < 64) | (slices.row >= 96))
    assert coarse(cut) is not None
    stack = LayeredRelation.single(cut)
    hops = brute_hops(stack)
    assert solve(stack, ReachRequest(), "slices").histogram.tolist() == np.bincount(hops[hops >= 0]).tolist()


@pytest.mark.parametrize("expr", [Band(40, 40) | Global(2), Band(7, 7, 2)], ids=["window", "dilated"])
def test_token_patterns_are_not_taken_for_blocks(expr: Expr) -> None:
    assert coarse(expr.slices(512)) is None
