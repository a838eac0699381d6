"""What a core executes is what its products are in a real run: held to them are both the counter and the closed form.

The closed forms of some schemes are sums over the plan that runs; the shapes of the products that it really makes are
not.
"""

from __future__ import annotations

import pytest
import torch

from attnprof.contracts import Spec
from attnprof.counting import count
from attnprof.layers.gathered import GatherCore, flops_core
from attnprof.pattern import Pattern
from attnprof.shapes import Shape
from attnprof.words import Level, Pass
from tests.laws.cases import Case, as_params, at_lengths, cases
from tests.laws.expressions import NAMES, expressions
from tests.laws.work import Products, flash_pairs, products_of, stated

ALL = cases()
# Every score of every pair and every value: what is left to a masked run, and to schemes without a pattern of tiles.
WHOLE = [case for case in ALL if case.name in ("cross", "dense", "switch") or case.impl == "masked"]
# Beside those, ETC's labels: every query with each of its 2 k + 1 lags and 3 other kinds of pair.
LABELS = {"etc": 2 * 2 + 1 + 3}


@pytest.mark.parametrize(("case", "n"), at_lengths(ALL, (1, 37, 300), 300))
def test_the_products_of_a_run_are_counted_and_stated(case: Case, n: int) -> None:
    shape = case.shape(n, "float32", heads=4, dim=32).replace(level=Level.CORE)
    torch.manual_seed(0)
    run = products_of(case.target.build(shape).eval(), case.target.inputs(shape))
    cost, closed = count(case.target, shape, Pass.FORWARD).cost, stated(case.target, shape)
    assert cost.flops_core_executed is not None
    assert cost.selection_flops == case.target.flops_selection(shape)
    assert cost.flops_executed == cost.flops_core_executed + cost.selection_flops == run
    assert (closed is None) == (case.impl == "masked" and case.target.card.maths == "pattern")
    assert closed in (None, cost.flops_core_executed)


@pytest.mark.parametrize("case", as_params([case for case in WHOLE if "clip" not in case.params]))
@pytest.mark.parametrize("n", [37, 300])
def test_all_pairs_cost_4_n_m_d_a_head(case: Case, n: int) -> None:
    """Of queries, for however few KV heads."""
    kv_heads = 2 if case.target.card.kv_heads else 4
    shape = Shape(n, batch=3, dim=24, heads=4, kv_heads=kv_heads, causal=case.causal, level=Level.CORE)
    hand = 3 * 4 * 4 * n * n * 6 * case.target.layers + 3 * 4 * 2 * n * 6 * LABELS.get(case.name, 0)
    if case.name == "longformer":
        rows = int(case.target.parameters["global_tokens"])  # once more by their own projections
        hand += 0 if case.causal else 3 * 4 * 4 * rows * n * 6 * case.target.layers
    assert count(case.target, shape, Pass.FORWARD).cost.flops_core_executed == hand


@pytest.mark.parametrize("causal", [False, True], ids=["both-ways", "causal"])
@pytest.mark.parametrize("n", [1, 37, 600, 1000])
def test_flash_is_counted_by_the_tiles_of_its_kernel(causal: bool, n: int) -> None:
    shape = Shape(n, batch=2, dim=32, heads=4, causal=causal, level=Level.CORE)
    cost = count(Case("flash", causal).target, shape, Pass.FORWARD).cost
    assert cost.flops_core_executed == 2 * 4 * 4 * 8 * flash_pairs(n, n, causal)


@pytest.mark.parametrize("n", [1, 37, 300])
@pytest.mark.parametrize("name", NAMES)
def test_gathering_executes_the_products_that_it_states(name: str, n: int) -> None:
    of = Spec(Shape(n, batch=2, dim=24, heads=3), {}, Pattern("given", n, False, lambda _, __: expressions(n)[name]))
    core, streams = GatherCore(of), [torch.randn(2, 3, n, 8) for _ in range(3)]
    run = products_of(core, (streams[0], streams[1], streams[2]))
    assert flops_core(of) == run == 2 * 3 * 4 * 8 * (core.executed // 3)


def test_what_is_added_up_is_two_flops_a_multiply_add() -> None:
    """[2, 3] times [3, 4] is 24 multiply-adds; in a batch of 5, with a sum on top, 120."""
    a, b = torch.randn(5, 2, 3), torch.randn(5, 3, 4)
    with Products() as seen:
        torch.mm(a[0], b[0])
    assert seen.flops == 2 * 24
    with Products() as seen:
        torch.baddbmm(torch.zeros(5, 2, 4), a, b)
    assert seen.flops == 2 * 120
