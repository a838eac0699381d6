"""LongNet: a few layers reach everything, and a causal head alone leaves holes for good (Ding et al. 2023)."""

from __future__ import annotations

import numpy as np
import pytest

from attnprof.graph.ladder import solve
from attnprof.graph.layered import LayeredRelation
from attnprof.graph.reach import Reach, ReachRequest
from attnprof.pattern import Pattern
from attnprof.shapes import Shape
from attnprof.targets import door


def longnet(n: int, finest: int, growth: int, *, heads: int = 1, causal: bool = False) -> Pattern:
    """Levels (w a^k, a^k) up to segments of n tokens; each head begins at another place."""
    levels = [(finest * growth**k, growth**k) for k in range(30) if finest * growth**k <= n]
    params = {
        "segments": ",".join(str(w) for w, _ in levels),
        "dilations": ",".join(str(r) for _, r in levels),
    }
    target = door.find("longnet", params=params)
    return target.graph(Shape(n, heads=heads, dim=8 * heads, causal=causal))  # type: ignore[attr-defined]


def reach(pattern: Pattern) -> Reach:
    return solve(LayeredRelation.of(pattern), ReachRequest(), "auto")


@pytest.mark.parametrize(("n", "layers"), [(64, 5), (256, 7)])
def test_a_head_reaches_all_in_twice_its_levels_but_one_at_most(n: int, layers: int) -> None:
    pattern = longnet(n, 4, 2)
    assert reach(pattern).layers_to_full == layers
    assert layers <= 2 * (n // 4).bit_length() - 1


def test_a_head_costs_less_than_the_geometric_bound() -> None:
    assert longnet(256, 4, 2).edges(0, 0) <= 256 * 4 * 2


@pytest.mark.parametrize(
    ("finest", "growth", "heads", "share"), [(4, 2, 1, 0.148), (4, 2, 64, 0.739), (16, 4, 16, 0.986)]
)
def test_causal_heads_leave_holes_at_any_depth(finest: int, growth: int, heads: int, share: float) -> None:
    found = reach(longnet(256, finest, growth, heads=heads, causal=True))
    assert found.layers_to_full is None
    assert int(found.histogram.sum()) / found.pairs == pytest.approx(share, abs=0.0006)


@pytest.mark.parametrize(("n", "as_a_set", "with_multiplicity"), [(1024, 80_896, 86_016), (4096, 323_584, 344_064)])
def test_pairs_that_two_levels_have_weigh_twice(n: int, as_a_set: int, with_multiplicity: int) -> None:
    target = door.find("longnet", params={"segments": "64,256,1024", "dilations": "1,4,16"})
    pattern = target.graph(Shape(n, heads=1, dim=8, causal=False))  # type: ignore[attr-defined]
    assert pattern.edges(0, 0) == as_a_set
    assert pattern.edges_sum(0, 0) == with_multiplicity
    degree = pattern.slices(0, 0).out_degree()
    if n == 1024:
        assert (degree.min(), np.round(degree.mean()), degree.max()) == (64, 79, 160)


def test_the_table_has_three_layers_at_256() -> None:
    target = door.find("longnet", params={"segments": "64,256", "dilations": "1,4"})
    assert reach(target.graph(Shape(256, heads=1, dim=8, causal=False))).layers_to_full == 3  # type: ignore[attr-defined]
