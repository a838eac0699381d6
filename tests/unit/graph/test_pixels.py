from __future__ import annotations

import numpy as np
import pytest

from attnprof.graph.blocked import BlockConstant, blocked_form
from attnprof.graph.pixels import Grid, lag_image, pooled
from attnprof.pattern import Band, Blocks, BlockTable, Dense, Expr, Global, Strided

EXPRESSIONS = {
    "band": Band(5, 3),
    "stride that divides": Strided(4, True) | Band(2),
    "stride of several pixels": Strided(32),
    "stride of neither": Strided(7, True) | Band(3),
    "dilated": Global(3) | Band(4, 4, 2),
    "dense": Dense(True),
}


def by_hand(mask: np.ndarray, grid: Grid) -> np.ndarray:
    edges = grid.edges[:-1]
    return np.add.reduceat(np.add.reduceat(mask.astype(int), edges, axis=0), edges, axis=1)


@pytest.mark.parametrize("n", [37, 64, 200, 300])
@pytest.mark.parametrize("side", [4, 8, 16, 32])
@pytest.mark.parametrize("name", EXPRESSIONS)
def test_a_pixel_holds_the_number_of_its_edges(name: str, side: int, n: int) -> None:
    slices, grid = EXPRESSIONS[name].slices(n), Grid.of(n, side)
    assert grid.side <= side
    assert pooled(slices, grid).tolist() == by_hand(slices.dense(), grid).tolist()


@pytest.mark.parametrize("n", [37, 200])
def test_lags_make_the_picture_of_their_band(n: int) -> None:
    grid, lag = Grid.of(n, 8), np.arange(n)
    assert lag_image(grid, lag <= 5, lag <= 3).tolist() == by_hand(Band(5, 3).slices(n).dense(), grid).tolist()
    assert grid.allowed(True).tolist() == by_hand(np.tri(n), grid).tolist()


@pytest.mark.parametrize(
    "expr",
    [
        Blocks(8, 1, 1),
        Blocks(8, 1, causal=True),
        BlockTable(8, np.asarray([[0, 3], [1, 1], [2, 0], [-1, 3]]), full=(1,)),
    ],
    ids=["blocks", "causal", "table"],
)
def test_blocks_have_the_views_of_their_tokens(expr: Expr) -> None:
    blocked = blocked_form(expr, 32)
    assert isinstance(blocked, BlockConstant)
    mask = expr.slices(32).dense()
    assert blocked.tokens().dense().tolist() == mask.tolist()
    assert BlockConstant(4, blocked.refined(4), blocked.cut).tokens().dense().tolist() == mask.tolist()
    assert blocked.out_degree().tolist() == mask.sum(axis=1).tolist()
    assert blocked.in_degree().tolist() == mask.sum(axis=0).tolist()
    for side in (2, 4, 8, 16):
        grid = Grid.of(32, side)
        assert blocked.pooled(grid).tolist() == by_hand(mask, grid).tolist()


@pytest.mark.parametrize("expr", [Band(3), Global(3), BlockTable(8, np.zeros((4, 1), dtype=int)) | Band(1)])
def test_what_is_not_made_of_blocks_is_not_taken_for_it(expr: Expr) -> None:
    found = blocked_form(expr, 32)
    assert found is None or found.size < 4
