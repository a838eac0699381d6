"""The pair of decoders sees exactly the past in raster order."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from attnprof import catalog
from attnprof.model import Shape


@pytest.mark.parametrize("n", [36, 47])
def test_every_output_depends_on_all_of_the_past_and_nothing_else(n: int) -> None:
    target = catalog.find("axial_autoregressive")
    shape = Shape(n, dim=8, heads=2, causal=True, dtype="float64")
    x = target.inputs(shape)[0].requires_grad_()
    out = target.build(shape)(x)
    for row in range(n):
        (grad,) = torch.autograd.grad(out[0, row].sum(), x, retain_graph=True)
        seen = grad[0].abs().sum(-1) > 0
        assert seen[: row + 1].all()
        assert not seen[row + 1 :].any()


def test_the_three_layers_of_the_pattern_compose_to_the_past() -> None:
    pattern = catalog.find("axial_autoregressive").pattern(Shape(49, causal=True))
    reach = np.eye(49, dtype=np.int64)
    for layer in range(3):
        reach = (pattern.dense(layer) + np.eye(49, dtype=np.int64)) @ reach
    assert ((reach > 0) == np.tri(49, dtype=np.bool_)).all()


def test_masked_rows_and_columns_alone_never_reach_all_of_the_past() -> None:
    pattern = catalog.find("axial", params={"combine": "merge"}).pattern(Shape(1024))
    masked = pattern.expr().past().slices(1024)
    assert masked.edges == 32_768
    reach = masked.dense().astype(np.float32)
    for _ in range(5):
        reach = ((reach @ reach) > 0).astype(np.float32)
    assert (reach > 0).sum() < 1024 * 1025 // 2
