"""Balancing, sorting, and what each costs."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from attnprof.layers.sorting import balanced_logs, gumbel_like
from attnprof.shapes import Shape
from attnprof.targets import door


@pytest.mark.parametrize(("iterations", "error"), [(5, 6.1e-2), (8, 1.1e-2), (20, 1.7e-3)])
def test_rows_are_off_by_up_to_what_was_measured_once_and_columns_by_nothing(iterations: int, error: float) -> None:
    torch.manual_seed(0)
    weights = balanced_logs(2 * torch.randn(500, 16, 16, dtype=torch.float64), 1.0, iterations).exp()
    torch.testing.assert_close(weights.sum(-2), torch.ones(500, 16, dtype=torch.float64))
    worst = (weights.sum(-1) - 1).abs().amax(-1)
    assert float(worst.median()) < error < float(worst.max())


def test_causal_weights_take_earlier_blocks_only_and_never_look_ahead() -> None:
    scores = torch.randn(3, 8, 8, dtype=torch.float64)
    weights = balanced_logs(scores, 0.75, 8, causal=True).exp()
    assert (weights.triu() == 0).all()
    assert (weights.tril(-1)[:, 1:].sum(-1) > 0).all()
    changed = scores.clone()
    changed[:, 5:] = torch.randn(3, 3, 8, dtype=torch.float64)
    torch.testing.assert_close(
        balanced_logs(changed, 0.75, 8, causal=True).exp()[:, :5], weights[:, :5], rtol=0, atol=0
    )


def test_sorting_blocks_costs_a_quadratic_term() -> None:
    target, n, dim = door.find("sinkhorn"), 4096, 512
    shape = Shape(n, level="core")
    assert target.flops_core(shape) + target.flops_selection(shape) == 8 * n * 64 * dim + 4 * n * n * dim // 64


def test_a_hard_permutation_reads_one_block_besides_the_own() -> None:
    """Weights of 0 and 1 give the masked softmax over two blocks, position by position."""
    target = door.find("sinkhorn", params={"block": 4, "iterations": 1})
    shape = Shape(12, dim=8, heads=2, level="core", dtype="float64")
    q, k, v, _ = target.inputs(shape)
    order = torch.tensor([2, 0, 1])
    scores = torch.full((1, 3, 3), -1e4, dtype=torch.float64)
    scores[0, torch.arange(3), order] = 0.0
    moved = [x.unflatten(2, (3, 4))[:, :, order] for x in (k, v)]
    keys, values = (torch.cat([m, x.unflatten(2, (3, 4))], 3) for m, x in zip(moved, (k, v), strict=True))
    expected = ((q.unflatten(2, (3, 4)) @ keys.transpose(-2, -1)) * 4**-0.5).softmax(-1) @ values
    torch.testing.assert_close(target.build(shape).eval()(q, k, v, scores), expected.flatten(2, 3))


def test_the_drawn_pattern_is_two_blocks_a_block() -> None:
    pattern = door.find("sinkhorn").pattern(Shape(4096))
    assert set(pattern.slices().out_degree().tolist()) <= {64, 128}
    causal = door.find("sinkhorn").pattern(Shape(1000, causal=True)).slices()
    assert (causal.stop - 1 <= causal.row).all()


def made(name: str, n: int = 24, causal: bool = False, **params: float) -> tuple[nn.Module, tuple[Tensor, ...]]:
    """A core on blocks of four tokens, in training mode, with random streams."""
    target = door.find(name, params={"block": 4, **params})
    shape = Shape(n, batch=2, dim=8, heads=2, level="core", dtype="float64", causal=causal)
    torch.manual_seed(0)
    return target.build(shape), target.inputs(shape)


@pytest.mark.parametrize("name", ["sinkhorn", "sortcut"])
def test_training_adds_noise_to_the_scores_and_evaluation_none(name: str) -> None:
    module, (q, k, v, scores) = made(name)
    torch.manual_seed(5)
    noisy = module(q, k, v, scores)
    torch.manual_seed(5)
    shifted = scores + gumbel_like(scores)
    module.eval()
    assert (noisy - module(q, k, v, scores)).abs().max() > 1e-3
    torch.testing.assert_close(noisy, module(q, k, v, shifted))
    torch.testing.assert_close(module(q, k, v, scores), module(q, k, v, scores), rtol=0, atol=0)
    quiet, streams = made(name, gumbel=0.0)
    torch.testing.assert_close(quiet(*streams), quiet.eval()(*streams), rtol=0, atol=0)


def test_the_noise_is_standard_gumbel() -> None:
    torch.manual_seed(0)
    draws = gumbel_like(torch.empty(400_000, dtype=torch.float64))
    assert float(draws.mean()) == pytest.approx(0.5772, abs=0.01)
    assert float(draws.var()) == pytest.approx(torch.pi**2 / 6, abs=0.03)


@pytest.mark.parametrize("hard", [False, True], ids=["soft", "hard"])
def test_a_causal_layer_sees_nothing_of_the_future_while_it_trains_either(hard: bool) -> None:
    target = door.find("sinkhorn", params={"block": 4, "hard": hard})
    module = target.build(Shape(24, dim=8, heads=2, causal=True, dtype="float64"))
    x = torch.randn(1, 24, 8, dtype=torch.float64)
    for cut in (1, 7, 16, 23):
        outs = []
        for later in (x[:, cut:], -x[:, cut:]):
            torch.manual_seed(3)
            outs.append(module(torch.cat([x[:, :cut], later], 1))[:, :cut])
        torch.testing.assert_close(*outs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("causal", [False, True], ids=["both ways", "causal"])
def test_hard_sorting_puts_the_block_of_the_largest_weight_beside_each(causal: bool) -> None:
    module, (q, k, v, scores) = made("sinkhorn", causal=causal, hard=True)
    out = module.eval()(q, k, v, scores)
    chosen = balanced_logs(scores, 0.75, 8, causal).argmax(-1)
    for item, block in ((0, 1), (1, 3), (1, 5)):
        here = range(4 * block, 4 * block + 4)
        there = range(4 * int(chosen[item, block]), 4 * int(chosen[item, block]) + 4)
        for row in here:
            keys = [*there, *(j for j in here if j <= row or not causal)]
            weights = (k[item, :, keys] @ q[item, :, row, :, None] * 4**-0.5).softmax(1)
            torch.testing.assert_close(out[item, :, row], (weights * v[item, :, keys]).sum(1))


@pytest.mark.parametrize("name", ["sinkhorn", "sortcut"])
def test_hard_sorting_has_no_quadratic_term_and_teaches_the_network(name: str) -> None:
    target = door.find(name, params={"hard": True})
    at = {n: target.flops_core(Shape(n)) + target.flops_selection(Shape(n, level="core")) for n in (1024, 65536)}
    assert at[65536] == 64 * at[1024]
    module, (q, k, v, scores) = made(name, hard=True)
    scores.requires_grad_()
    (gradient,) = torch.autograd.grad(module(q, k, v, scores).square().sum(), scores)
    assert gradient.abs().max() > 0


def ragged(name: str, n: int, order: list[int], **params: float | bool) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The output of a core of blocks of 16 whose scores put block order[I] in place I, and its streams."""
    target = door.find(name, params={"block": 16, "iterations": 1, **params})
    torch.manual_seed(n)
    shape = Shape(n, dim=8, heads=2, level="core", dtype="float64")
    q, k, v, scores = target.inputs(shape)
    scores = torch.full_like(scores, -60.0)
    scores[0, torch.arange(len(order)), torch.tensor(order)] = 0.0
    return target.build(shape).eval()(q, k, v, scores), (q, k, v)


def test_a_hard_sorting_puts_no_padding_beside_a_block() -> None:
    """n = 17: block 1 is token 16 alone. Placed beside block 0 it is one key more, not sixteen."""
    out, (q, k, v) = ragged("sinkhorn", 17, [1, 0], hard=True)
    expected = (q[:, :, :16] @ k.transpose(-2, -1) * 4**-0.5).softmax(-1) @ v
    torch.testing.assert_close(out[:, :, :16], expected)
    torch.testing.assert_close(out[:, :, 16:], (q[:, :, 16:] @ k.transpose(-2, -1) * 4**-0.5).softmax(-1) @ v)


def test_a_hard_sortcut_to_a_block_of_one_token_gives_that_token() -> None:
    out, (_, _, v) = ragged("sortcut", 17, [1, 0], hard=True, sorted_blocks=1)
    torch.testing.assert_close(out, v[:, :, 16:].expand_as(out))


def test_a_soft_sorting_is_not_diluted_where_the_last_block_has_no_token() -> None:
    """Scores that are equal give each of 2 blocks half: position 0 is the mean of tokens 0 and 16, the rest block 0."""
    target = door.find("sortcut", params={"block": 16, "sorted_blocks": 1})
    q, k, v, scores = target.inputs(shape := Shape(17, dim=8, heads=2, level="core", dtype="float64"))
    out = target.build(shape).eval()(q, k, v, torch.zeros_like(scores))
    keys, values = (torch.cat([(x[:, :, :1] + x[:, :, 16:]) / 2, x[:, :, 1:16]], 2) for x in (k, v))
    torch.testing.assert_close(out, (q @ keys.transpose(-2, -1) * 4**-0.5).softmax(-1) @ values)


def test_a_soft_sorting_survives_a_weight_of_the_short_block_that_is_all_there_is() -> None:
    """In float32 the other blocks' weights underflow: what they are scaled up from must not be 0 / 0."""
    target = door.find("sinkhorn", params={"block": 4})
    shape = Shape(9, dim=8, heads=2, level="core")
    module, (q, k, v, scores) = target.build(shape), target.inputs(shape)
    scores = torch.zeros_like(scores)
    scores[:, [0, 1, 2], [2, 0, 1]] = 900.0
    assert (balanced_logs(scores, 0.75, 8).exp()[:, 0, :2] == 0).all()
    assert module.eval()(q, k, v, scores).isfinite().all()
