"""Balancing, sorting, and what each costs."""

from __future__ import annotations

import pytest
import torch

from attnprof import catalog
from attnprof.layers.sorting import balanced
from attnprof.model import Shape


@pytest.mark.parametrize(("iterations", "error"), [(5, 6.1e-2), (8, 1.1e-2), (20, 1.7e-3)])
def test_rows_are_off_by_up_to_what_was_measured_once_and_columns_by_nothing(iterations: int, error: float) -> None:
    torch.manual_seed(0)
    weights = balanced(2 * torch.randn(500, 16, 16, dtype=torch.float64), 1.0, iterations)
    torch.testing.assert_close(weights.sum(-2), torch.ones(500, 16, dtype=torch.float64))
    worst = (weights.sum(-1) - 1).abs().amax(-1)
    assert float(worst.median()) < error < float(worst.max())


def test_causal_weights_take_earlier_blocks_only_and_never_look_ahead() -> None:
    scores = torch.randn(3, 8, 8, dtype=torch.float64)
    weights = balanced(scores, 0.75, 8, causal=True)
    assert (weights.triu() == 0).all()
    assert (weights.tril(-1)[:, 1:].sum(-1) > 0).all()
    changed = scores.clone()
    changed[:, 5:] = torch.randn(3, 3, 8, dtype=torch.float64)
    torch.testing.assert_close(balanced(changed, 0.75, 8, causal=True)[:, :5], weights[:, :5], rtol=0, atol=0)


def test_sorting_blocks_costs_a_quadratic_term() -> None:
    target, n, dim = catalog.find("sinkhorn"), 4096, 512
    assert target.flops_core(Shape(n)) == 8 * n * 64 * dim + 4 * n * n * dim // 64


def test_a_hard_permutation_reads_one_block_besides_the_own() -> None:
    """Weights of 0 and 1 give the masked softmax over two blocks, position by position."""
    target = catalog.find("sinkhorn", params={"block": 4, "iterations": 1})
    shape = Shape(12, dim=8, heads=2, level="core", dtype="float64")
    q, k, v, _ = target.inputs(shape)
    order = torch.tensor([2, 0, 1])
    scores = torch.full((1, 3, 3), -1e4, dtype=torch.float64)
    scores[0, torch.arange(3), order] = 0.0
    moved = [x.unflatten(2, (3, 4))[:, :, order] for x in (k, v)]
    keys, values = (torch.cat([m, x.unflatten(2, (3, 4))], 3) for m, x in zip(moved, (k, v), strict=True))
    expected = ((q.unflatten(2, (3, 4)) @ keys.transpose(-2, -1)) * 4**-0.5).softmax(-1) @ values
    torch.testing.assert_close(target.build(shape)(q, k, v, scores), expected.flatten(2, 3))


def test_the_drawn_pattern_is_two_blocks_a_block() -> None:
    pattern = catalog.find("sinkhorn").pattern(Shape(4096))
    assert set(pattern.slices().out_degree().tolist()) <= {64, 128}
    causal = catalog.find("sinkhorn").pattern(Shape(1000, causal=True)).slices()
    assert (causal.stop - 1 <= causal.row).all()
