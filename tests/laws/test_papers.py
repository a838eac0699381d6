"""Every fixed pattern of the catalogue is that of its paper, as `papers` writes it down."""

from __future__ import annotations

from math import ceil
from typing import Any

import numpy as np
import pytest

from attnprof.pattern import Expr, Pattern
from attnprof.pattern.slots import Slots
from attnprof.shapes import Shape
from attnprof.targets import catalog
from attnprof.targets.scheme import CatalogTarget
from attnprof.units import Value
from tests.laws import papers_of_graphs, papers_selecting
from tests.laws.papers import DEFINITIONS, HEADS, Through

LENGTHS = (1, 2, 5, 16, 37, 64, 101)
PAPERS = {**DEFINITIONS, **papers_of_graphs.DEFINITIONS, **papers_selecting.DEFINITIONS}
# Given by a draw: the definition has a known part, and one that is held to its statistics and its form below.
DRAWN = {"bigbird"}
CASES = [
    (name, causal, params)
    for name, (_, variants) in PAPERS.items()
    for params in ({}, *variants)
    for causal in catalog.entry(name).card.causality
]


def label(case: tuple[str, bool, dict[str, Value]]) -> str:
    name, causal, params = case
    return "-".join([name, "causal" if causal else "both-ways", *(f"{k}={v}" for k, v in params.items())])


def drawn(name: str, n: int, causal: bool, params: dict[str, Value], seed: int = 0) -> Pattern:
    target = CatalogTarget.of(catalog.entry(name), params, None)
    return target.graph(Shape(n, causal=causal, heads=HEADS, dim=8 * HEADS, seed=seed))


def test_every_fixed_pattern_of_the_catalogue_is_defined() -> None:
    fixed = {name for name in catalog.names() if not catalog.entry(name).card.data_dependent}
    assert fixed - DRAWN == set(PAPERS)
    assert {name for name in fixed - DRAWN if catalog.entry(name).has_maths} >= set(DEFINITIONS)


@pytest.mark.parametrize(("name", "causal", "params"), CASES, ids=map(label, CASES))
def test_a_pattern_has_the_edges_of_its_definition_and_no_other(
    name: str, causal: bool, params: dict[str, Value]
) -> None:
    define = PAPERS[name][0]
    for n in LENGTHS:
        pattern, i, j = drawn(name, n, causal, params), np.arange(n)[:, None], np.arange(n)
        for layer in range(pattern.layers):
            for head in range(HEADS):
                expected = define(i, j, n=n, causal=causal, layer=layer, head=head, **params)
                expr = pattern.expr(layer, head % pattern.heads)
                found, where = as_masks(expr, n), f"n = {n}, layer {layer}, head {head}"
                if not isinstance(expected, Through):
                    expected = Through(np.ones((0, n), bool), np.ones((n, 0), bool), expected)
                assert np.array_equal(found.reads, expected.reads), where
                assert np.array_equal(found.writes, expected.writes), where
                assert (found.direct is None) == (expected.direct is None), where
                if found.direct is not None and expected.direct is not None:
                    assert (found.direct == np.broadcast_to(expected.direct, (n, n))).all(), where


def as_masks(expr: Expr, n: int) -> Through:
    """What the catalogue draws, through slots and beside them."""
    if not isinstance(expr, Slots):
        return Through(np.ones((0, n), bool), np.ones((n, 0), bool), expr.slices(n).dense())
    direct = None if expr.direct is None else expr.direct.slices(n).dense()
    return Through(expr.reads.dense(), expr.writes.dense()[:, : expr.count], direct)


BIGBIRD: list[dict[str, int | str]] = [
    {"block": 4, "window_blocks": 3, "random_blocks": 3, "global_blocks": 2, "layout": "ends"},
    {"block": 4, "window_blocks": 1, "random_blocks": 2, "global_blocks": 3, "layout": "prefix"},
    {"block": 7, "window_blocks": 5, "random_blocks": 0, "global_blocks": 1, "layout": "ends"},
    {"block": 5, "window_blocks": 3, "random_blocks": 30, "global_blocks": 0, "layout": "ends"},
]


@pytest.mark.parametrize("params", BIGBIRD, ids=str)
@pytest.mark.parametrize("n", [1, 5, 37, 64, 101, 203])
def test_bigbird_has_its_window_its_globals_and_as_many_random_blocks(n: int, params: dict[str, Any]) -> None:
    """Zaheer et al. 2020, section 2: |I - J| <= (w - 1) / 2, global rows and columns, r others of each other block."""
    size, r, g = params["block"], params["random_blocks"], params["global_blocks"]
    count = ceil(n / size)
    first = min(g, count) if params["layout"] == "prefix" else ceil(min(g, count) / 2)
    hubs = {*range(first), *range(count - (min(g, count) - first), count)}
    pattern, rows = drawn("bigbird", n, False, params), np.arange(n) // size
    for head in range(HEADS):
        mask = pattern.expr(0, head).slices(n).dense()
        for block in range(count):
            mine = mask[rows == block]
            assert (mine == mine[0]).all(), "a block reads as one"
            read = {int(other) for other in np.unique(rows[mine[0]])}
            assert (mine[0] == np.isin(rows, list(read))).all(), "blocks are read whole"
            known = {other for other in range(count) if abs(block - other) <= params["window_blocks"] // 2} | hubs
            if block in hubs:
                assert read == set(range(count))
            else:
                assert known <= read
                assert len(read - known) == min(r, count - len(known))


def test_bigbird_draws_every_other_block_alike_and_anew_for_heads_and_seeds() -> None:
    """Of 23 blocks, 2 global ones and 3 of the window left out, 18 are equally likely: each 3 / 18 of the time."""
    params: dict[str, Value] = {"block": 4}
    masks = [
        drawn("bigbird", 92, False, params, seed).expr(0, head).slices(92).dense()
        for seed in range(300)
        for head in range(HEADS)
    ]
    chosen = np.stack(masks)[:, ::4, ::4][:, 11]
    outside = [block for block in range(1, 22) if abs(block - 11) > 1]
    shares = chosen.mean(0)[outside]
    assert len(outside) == 18
    # 1,200 draws: the standard deviation of a share is sqrt(1/6 * 5/6 / 1200) = 0.0108
    assert (abs(shares - 3 / 18) < 5 * 0.0108).all()
    assert len({mask.tobytes() for mask in masks}) == 1200, "seeds and heads draw apart"
