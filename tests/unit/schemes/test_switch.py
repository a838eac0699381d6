"""A mixture of experts: who is dropped, what it costs."""

from __future__ import annotations

from math import ceil

import pytest
import torch

from attnprof.counting import count
from attnprof.layers.experts import SwitchFeedForward
from attnprof.shapes import Shape
from attnprof.targets import door


def flops_experts(batch: int, n: int, dim: int, hidden: int, experts: int, factor: float, per_token: int = 1) -> int:
    """2 n D E to route, 4 E C D F for the experts, each at its full capacity C."""
    capacity = ceil(per_token * n / experts * factor)
    return batch * (2 * n * dim * experts + 4 * experts * capacity * dim * hidden)


@pytest.mark.parametrize(
    ("experts", "factor", "dropped", "within"),
    [(8, 1.0, 0.014, 0.006), (8, 1.25, 0.0, 1e-4), (64, 1.0, 0.058, 0.012), (64, 1.25, 0.002, 0.002)],
)
def test_random_scores_drop_as_many_tokens_as_measured(
    experts: int, factor: float, dropped: float, within: float
) -> None:
    torch.manual_seed(0)
    layer = SwitchFeedForward(4096, 4, 4, experts, factor)
    _, slot = layer.slots(torch.randn(20, 4096, experts).softmax(-1))
    assert float((slot == experts * layer.capacity).float().mean()) == pytest.approx(dropped, abs=within)


@pytest.mark.parametrize("per_token", [1, 2])
@pytest.mark.parametrize("n", [1, 7, 50])
@pytest.mark.parametrize("factor", [0.5, 1.25])
def test_forward_and_gradients_equal_the_reference(n: int, factor: float, per_token: int) -> None:
    layer = SwitchFeedForward(n, 8, 16, 4, factor, per_token).double()
    x = torch.randn(3, n, 8, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(layer(x), layer.reference(x), rtol=1e-10, atol=1e-10)
    leaves = [x, *layer.parameters()]
    ours = torch.autograd.grad(layer(x).square().sum(), leaves)
    theirs = torch.autograd.grad(layer.reference(x).square().sum(), leaves)
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


def test_two_experts_give_the_sum_of_both_by_chances_that_sum_to_one() -> None:
    torch.manual_seed(0)
    layer = SwitchFeedForward(50, 8, 16, 4, 4.0, per_token=2).double()
    x = torch.randn(1, 50, 8, dtype=torch.float64)
    every = torch.stack([(x @ a).relu() @ b for a, b in zip(layer.inner, layer.outer, strict=True)], -2)
    for token in (0, 17, 49):
        first, second = layer.router(x)[0, token].topk(2).indices.tolist()
        gate = torch.sigmoid(layer.router(x)[0, token, first] - layer.router(x)[0, token, second])
        expected = gate * every[0, token, first] + (1 - gate) * every[0, token, second]
        torch.testing.assert_close(layer(x)[0, token], expected, rtol=1e-10, atol=1e-10)


def test_a_token_whose_second_expert_is_full_keeps_the_part_of_its_first() -> None:
    layer = SwitchFeedForward(2, 2, 4, 3, 0.75, per_token=2)
    torch.nn.init.zeros_(layer.router.weight)
    chances = torch.tensor([[[0.6, 0.3, 0.1], [0.1, 0.3, 0.6]]])
    expert, slot = layer.slots(chances)
    assert layer.capacity == 1
    assert expert.tolist() == [[[0, 1], [2, 1]]]
    assert slot.tolist() == [[[0, 1], [2, 3]]]
    torch.testing.assert_close(layer.gates(chances, expert)[0, 1], torch.tensor([2 / 3, 1 / 3]))


@pytest.mark.parametrize("per_token", [1, 2])
def test_a_later_token_never_takes_the_place_of_an_earlier_one(per_token: int) -> None:
    layer = SwitchFeedForward(60, 8, 16, 4, 0.5, per_token)
    x = torch.randn(2, 60, 8)
    changed = x.clone()
    changed[:, 40:] = torch.randn(2, 20, 8)
    torch.testing.assert_close(layer(changed)[:, :40], layer(x)[:, :40], rtol=0, atol=1e-6)


@pytest.mark.parametrize("per_token", [1, 2])
def test_experts_execute_their_stated_work(per_token: int) -> None:
    layer = SwitchFeedForward(100, 8, 32, 4, 1.25, per_token)
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        layer(torch.randn(2, 100, 8))
    assert counter.get_total_flops() == flops_experts(2, 100, 8, 32, 4, 1.25, per_token)


def test_a_block_of_two_experts_a_token_costs_what_is_stated() -> None:
    shape = Shape(256, dim=64, heads=2, level="block")
    one, two = (count(door.find("switch", params={"experts_per_token": k}), shape, "forward").cost for k in (1, 2))
    assert one.flops_executed is not None
    assert two.flops_executed is not None
    single, double = (flops_experts(1, 256, 64, 256, 8, 1.25, k) for k in (1, 2))
    assert two.flops_executed - one.flops_executed == double - single == 4 * 8 * 40 * 64 * 256


def test_its_attention_is_dense() -> None:
    cost = count(door.find("switch"), Shape(256), "forward").cost
    assert cost.flops_core_executed == 4 * 256 * 256 * 512
