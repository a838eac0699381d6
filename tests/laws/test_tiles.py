"""A plan executes every edge of its pattern exactly once, and little else."""

from __future__ import annotations

import numpy as np
import pytest

from attnprof.counting.useful import useful_flops
from attnprof.layers.lowering.lower import lower
from attnprof.layers.lowering.tiling import TilePart, TilePlan
from attnprof.pattern import Band, Blocks, Expr, Global, Strided, Summary
from attnprof.shapes import Shape
from attnprof.targets import catalog, door
from attnprof.targets.scheme import CatalogTarget
from tests.laws.cases import Case, as_params, cases
from tests.laws.expressions import LENGTHS, NAMES, expressions
from tests.laws.work import stated


def executed_edges(plan: TilePlan) -> np.ndarray:
    """How often the plan computes each pair for an output row that is kept, `[n, n]`."""
    owner = np.full(plan.n + 1, -1)
    for at, stack in enumerate(plan.stacks):
        owner[stack.rows()] = at
    total = np.zeros((plan.n + 1, plan.n + 1), dtype=int)
    for at, stack in enumerate(plan.stacks):
        for part in stack.parts:
            row, key = unmasked(part)
            kept = (row >= 0) & (owner[row] == at)
            assert (key[kept] >= 0).all(), "a padding key is not masked"
            np.add.at(total, (row[kept], key[kept]), 1)
    return total[: plan.n, : plan.n]


def unmasked(part: TilePart) -> tuple[np.ndarray, np.ndarray]:
    """The query and the key of every pair that no mask of the part forbids."""
    rows, keys = part.rows(), part.keys()
    mask = np.ones((keys.shape[0], part.count, part.q_block, part.width), dtype=bool)
    if part.relative is not None:
        mask &= part.relative
    if part.key_ok is not None:
        mask &= part.key_ok[:, :, None, :]
    if part.full is not None:
        mask &= part.full()
    head, tile, row, column = np.nonzero(mask)
    return rows[tile, row], keys[head, tile, column]


@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("name", NAMES)
def test_every_edge_is_executed_exactly_once(name: str, n: int) -> None:
    expr = expressions(n)[name]
    assert (executed_edges(lower(expr, n)) == expr.slices(n).dense()).all()


@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("name", NAMES)
def test_slices_are_the_rule_and_name_no_edge_twice(name: str, n: int) -> None:
    expr = expressions(n)[name]
    slices = expr.slices(n)
    mask = slices.dense()
    assert slices.edges == mask.sum()
    rule = expr.rule(np.arange(n)[:, None], np.arange(n)[None])
    if rule is not None:
        assert (np.broadcast_to(rule, (n, n)) == mask).all()


WASTE = {
    "sliding window": (Band(256, 256), 1.4),
    "longformer": (Band(256, 256) | Global(1), 1.4),
    "strided": (Band(128) | Strided(128, causal=True), 2.0),
    "fixed": (Blocks(128, causal=True) | Summary(128, 96, 128, causal=True), 2.2),
    "axial": (Blocks(128) | Strided(128), 1.05),
}


@pytest.mark.parametrize("n", [4096, 16384, 65536])
@pytest.mark.parametrize("name", WASTE)
def test_published_patterns_execute_little_beyond_their_edges(name: str, n: int) -> None:
    expr, bound = WASTE[name]
    assert lower(expr, n).executed <= bound * expr.slices(n).edges


# A window of three keys, less than the smallest tile; and a memory shorter than the segment that is cut by the query.
NARROW = ("star", "transformer_xl-memory=200,same", "transformer_xl-memory=8,same")
FIXED = [
    case
    for case in cases()
    if case.impl != "masked" and not catalog.card(case.name).data_dependent and not str(case).startswith(NARROW)
]


@pytest.mark.parametrize("n", [4096, 16384])
@pytest.mark.parametrize("case", as_params(FIXED))
def test_fixed_patterns_of_the_catalogue_execute_little_beyond_their_edges(case: Case, n: int) -> None:
    target, shape = door.find(case.name, params=case.params, impl=case.impl), Shape(n, causal=case.causal)
    assert isinstance(target, CatalogTarget)
    executed, (useful, why) = stated(target, shape), useful_flops(target, shape, "forward")
    if useful is None:
        assert why
        return
    assert executed is not None
    assert useful <= executed <= 2.5 * useful


@pytest.mark.parametrize("expr", [Band(256, 256), Band(256, 256) | Global(4)], ids=["window", "globals"])
def test_a_plan_stays_small_at_a_million_tokens(expr: Expr) -> None:
    plan = lower(expr, 1 << 20)
    arrays = [
        array
        for stack in plan.stacks
        for part in stack.parts
        for array in (part.relative, part.key_ok, part.table)
        if array is not None
    ]
    assert sum(array.nbytes for array in arrays) < 32 << 20
