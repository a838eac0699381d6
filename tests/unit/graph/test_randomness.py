from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from attnprof.graph.confidence import proportion
from attnprof.graph.ladder import solve
from attnprof.graph.layered import LayeredRelation
from attnprof.graph.randomness import Draw, one_trial, trials
from attnprof.graph.reach import ReachRequest
from attnprof.pattern import Pattern
from attnprof.shapes import Shape
from attnprof.targets import door


def drawer(n: int, heads: int = 1, layers: int = 1, **params: int) -> Draw:
    target = door.find("bigbird", params=params)

    def draw(seed: int) -> Pattern:
        return dataclasses.replace(target.graph(Shape(n=n, heads=heads, dim=8 * heads, seed=seed)), layers=layers)  # type: ignore[attr-defined]

    return draw


@pytest.mark.parametrize(
    "params", [{}, {"global_blocks": 0}, {"global_blocks": 0, "window_blocks": 0}, {"random_blocks": 1}]
)
@pytest.mark.parametrize(("heads", "layers"), [(1, 1), (1, 4), (3, 4)])
def test_a_trial_is_what_the_engine_answers(params: dict[str, int], heads: int, layers: int) -> None:
    pattern = drawer(512, heads, layers, block=16, **params)(7)
    shares, _ = one_trial(pattern, 6)
    found = solve(LayeredRelation.of(pattern), ReachRequest(layers=6), "csr")
    exact = np.cumsum(found.histogram)[1:] / found.pairs
    expected = [*exact.tolist(), *[exact[-1]] * 6][:6]
    assert shares.tolist() == pytest.approx(expected)


def test_one_head_of_64_blocks_takes_five_layers_and_the_union_fewer() -> None:
    one = trials(drawer(4096, global_blocks=0), range(60), 8).to_json()
    chance = {step["layer"]: step["p"] for step in one["p_full_by_layer"]}
    assert chance[4] < 0.15
    assert chance[5] > 0.85
    assert chance[6] == 1.0
    united = trials(drawer(4096, heads=12, layers=8, global_blocks=0), range(5), 8).to_json()
    assert united["p_full_by_layer"][2]["p"] == 1.0


def test_shares_at_64k_are_those_of_the_literature() -> None:
    found = trials(drawer(65536, global_blocks=0), range(10), 8)
    assert found.shares.mean(axis=0)[:5] == pytest.approx([0.006, 0.028, 0.124, 0.447, 0.901], abs=0.006)
    assert (found.shares[:, 7] == 1.0).all()


def test_twelve_heads_at_64k_are_full_in_three_layers() -> None:
    found = trials(drawer(65536, heads=12, layers=3, global_blocks=0), range(3), 3)
    assert (found.shares[:, 2] == 1.0).all()
    assert (found.shares[:, 1] < 1.0).all()


@pytest.mark.parametrize(("count", "random"), [(64, 4), (256, 5), (1024, 7)])
def test_a_block_that_nobody_reads_is_as_likely_as_the_binomial_says(count: int, random: int) -> None:
    seeds = 150
    found = trials(drawer(64 * count, global_blocks=0, window_blocks=0, random_blocks=random), range(seeds), 1)
    expected = 1 - (1 - (1 - random / (count - 1)) ** (count - 1)) ** count
    low, high = proportion(int(found.unread.sum()), seeds)
    assert low - 0.02 <= expected <= high + 0.02


def test_random_edges_alone_never_reach_all_at_three_a_row() -> None:
    found = trials(drawer(65536, global_blocks=0, window_blocks=0), range(5), 12)
    assert found.unread.all()
    assert not (found.shares >= 1.0).any()
