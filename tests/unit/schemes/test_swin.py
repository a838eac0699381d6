"""Windows that move, and the border that they must not cross."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from attnprof.shapes import Shape
from attnprof.targets import door


@pytest.mark.parametrize(("n", "still", "moved"), [(1024, 65_536, 50_176), (4096, 262_144, 230_400)])
def test_edges_are_the_known_counts(n: int, still: int, moved: int) -> None:
    target = door.find("swin", params={"window": 8})
    for layer, edges in ((0, still), (1, moved)):
        assert target.edges(Shape(n), layer) == target.pattern(Shape(n)).edges(layer) == edges


def test_windows_then_moved_windows_reach_beyond_both() -> None:
    pattern = door.find("swin", params={"window": 8}).pattern(Shape(256))
    still, moved = (pattern.dense(layer).astype(np.int64) for layer in (0, 1))
    reach = ((moved @ still) > 0).sum(1)
    assert reach.min() == 64
    assert reach.mean() == 144


def test_a_grid_of_one_window_does_not_move() -> None:
    assert door.find("swin").resolve(49)["shift"] == 0
    assert door.find("swin").resolve(30) == {"window": 5, "shift": 0, "merging": False}
    assert door.find("swin").resolve(64)["shift"] == 3


def test_merging_leaves_a_quarter_of_the_tokens_at_twice_the_width() -> None:
    target = door.find("swin", params={"merging": True, "window": 4})
    shape = Shape(64, batch=2, dim=16, heads=2)
    assert target.build(shape)(*target.inputs(shape)).shape == (2, 16, 32)


def test_the_bias_learns_from_every_window() -> None:
    target = door.find("swin", params={"window": 4})
    shape = Shape(64, dim=8, heads=2, level="core")
    module = target.build(shape)
    module(*target.inputs(shape)).square().sum().backward()
    for layer in module.layers:
        assert layer.bias.grad.abs().min() > 0
        assert torch.isfinite(layer.bias.grad).all()


def test_a_stage_costs_what_the_paper_states() -> None:
    """4 n C^2 + 2 M^2 n C multiply-adds a layer at 56 x 56 tokens of 96 channels (equation 2)."""
    from attnprof.counting import count

    n, width, window = 56 * 56, 96, 7
    cost = count(door.find("swin"), Shape(n, dim=width, heads=3), "forward").cost
    assert cost.flops_executed == 2 * 2 * (4 * n * width**2 + 2 * window**2 * n * width)
