"""The pair of decoders sees exactly the past in raster order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from attnprof.shapes import Shape
from attnprof.targets import door
from attnprof.words import Level
from tests.unit.schemes.by_hand import assert_is, column, made, put, weighing


@pytest.mark.parametrize("n", [36, 47])
def test_every_output_depends_on_all_of_the_past_and_nothing_else(n: int) -> None:
    target = door.find("axial_autoregressive")
    shape = Shape(n, dim=8, heads=2, causal=True, dtype="float64")
    x = target.inputs(shape)[0].requires_grad_()
    out = target.build(shape)(x)
    for row in range(n):
        (grad,) = torch.autograd.grad(out[0, row].sum(), x, retain_graph=True)
        seen = grad[0].abs().sum(-1) > 0
        assert seen[: row + 1].all()
        assert not seen[row + 1 :].any()


def test_the_three_layers_of_the_pattern_compose_to_the_past() -> None:
    pattern = door.find("axial_autoregressive").pattern(Shape(49, causal=True))
    reach = np.eye(49, dtype=np.int64)
    for layer in range(3):
        reach = (pattern.dense(layer) + np.eye(49, dtype=np.int64)) @ reach
    assert ((reach > 0) == np.tri(49, dtype=np.bool_)).all()


def test_masked_rows_and_columns_alone_never_reach_all_of_the_past() -> None:
    pattern = door.find("axial", params={"combine": "merge"}).pattern(Shape(1024))
    masked = pattern.expr().past().slices(1024)
    assert masked.edges == 32_768
    reach = masked.dense().astype(np.float32)
    for _ in range(5):
        reach = ((reach @ reach) > 0).astype(np.float32)
    assert (reach > 0).sum() < 1024 * 1025 // 2


def uniform(layer: Any) -> Any:
    """The layer with values x, and queries 0: every softmax is a mean."""
    for name, weight in layer.named_parameters():
        put(weight, 0.0 if "to_q" in name else 1.0)
    return layer


UNIFORM = {
    # Rows (1, 3), (5, 9), (2, 4): means 2, 7, 3; column means so far 2, 4.5, 4; one row down 0, 2, 4.5. Added to x:
    # 1, 3 | 7, 11 | 6.5, 8.5, of which each row's means so far.
    "three rows of two": ((1, 3, 5, 9, 2, 4), 2, (1, 2, 7, 9, 6.5, 7.5)),
    # The last row has one token: its mean would move down below the grid, and nothing above changes.
    "a short last row": ((1, 3, 5, 9, 2), 2, (1, 2, 7, 9, 6.5)),
    # Rows (1, 3, 5), (9, 2): the mean 3 moves down: 12, 5, of which the means so far.
    "two rows of three": ((1, 3, 5, 9, 2), 3, (1, 2, 3, 12, 8.5)),
    # One row has nothing above it: means so far.
    "one row": ((1, 3, 5), 3, (1, 2, 3)),
    # Rows of one token: the outer rows are x itself; column means so far 1, 2, 3 move down: 1, 3 + 1, 5 + 2.
    "rows of one": ((1, 3, 5), 1, (1, 4, 7)),
}


@pytest.mark.parametrize(("x", "stride", "expected"), UNIFORM.values(), ids=UNIFORM)
def test_means_of_rows_and_columns_by_hand(x: tuple[float, ...], stride: int, expected: tuple[float, ...]) -> None:
    tokens = torch.tensor(x, dtype=torch.float64)[None, :, None]
    for who, layer in made("axial_autoregressive", len(x), {"stride": stride}, Level.ATTENTION, causal=True):
        assert_is(uniform(layer)(tokens), expected, who)


def test_weights_of_rows_and_columns_by_hand() -> None:
    """Rows of two; weights 1, 2 | 3, 1 | 1, 1 of values 3, 0 | 4, 8 | 6, 6. Rows give 1, 5, 6.

    Columns so far: row 0: 1, 1; row 1: (1 + 3 5) / 4 = 4 and (2 1 + 5) / 3 = 7 / 3. One row down and added to the
    values: 3, 0 | 5, 9 | 10, 25 / 3. Each row so far: 3, (3 + 2 0) / 3 | 5, (3 5 + 9) / 4 | 10, 55 / 6.
    """
    k, v = weighing(1, 2, 3, 1, 1, 1), column(3, 0, 4, 8, 6, 6)
    for who, core in made("axial_autoregressive", 6, {"stride": 2}, causal=True):
        assert_is(core(column(1, 1, 1, 1, 1, 1), k, v), [3, 1, 5, 6, 10, 55 / 6], who)
