"""Performer: the published cost and memory, its approximation of softmax, its stabilisers."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from attnprof.counting import count
from attnprof.errors import AttnprofError
from attnprof.layers.softmax import softmax_attention
from attnprof.shapes import Shape
from attnprof.targets import door


def test_the_core_costs_8_n_m_d_and_the_normaliser() -> None:
    shape = Shape(n=1024, dim=64, heads=2, level="core")
    target = door.find("performer", params={"features": 128})
    assert count(target, shape, "forward").cost.flops_core_executed == 67_633_152


def test_backward_keeps_each_feature_map_once() -> None:
    n, heads, d, m = 512, 2, 32, 128
    shape = Shape(n=n, dim=heads * d, heads=heads, level="core")
    saved = count(door.find("performer", params={"features": m}), shape, "train").cost.saved_bytes
    assert saved == 4 * heads * (3 * n * d + 2 * n * m + m * (d + 1) + n * (d + 1))


def test_directions_are_orthogonal_in_blocks_and_their_norms_are_not_all_alike() -> None:
    shape = Shape(n=8, dim=32, heads=2, level="core", dtype="float64")
    core: Any = door.find("performer", params={"features": 40}).build(shape)
    for block in core.projection.split(16):
        products = block @ block.T
        assert (products - products.diag().diag()).abs().max() < 1e-5
    assert core.projection.norm(dim=1).std() > 0.1


def test_more_features_come_closer_to_softmax() -> None:
    shape = Shape(n=64, batch=4, dim=32, heads=2, level="core", dtype="float64")
    q, k, v = (0.5 * x for x in door.find("performer").inputs(shape))
    exact, errors = softmax_attention(q, k, v), []
    for features in (16, 128, 2048):
        core = door.find("performer", params={"features": features}).build(shape)
        errors.append(float((core(q, k, v) - exact).abs().mean()))
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.02


@pytest.mark.parametrize("kernel", ["softmax", "hyperbolic", "relu"])
def test_a_causal_row_is_the_bidirectional_result_over_its_prefix(kernel: str) -> None:
    shape = Shape(n=50, batch=2, dim=16, heads=2, level="core", dtype="float64", causal=True)
    settings = {"features": 24, "chunk": 16, "kernel": kernel}
    target = door.find("performer", params=settings)
    streams = target.inputs(shape)
    rows = target.build(shape)(*streams)
    for last in (1, 16, 33, 50):
        prefix = target.build(shape.replace(n=last, causal=False))(*(x[:, :, :last] for x in streams))
        torch.testing.assert_close(rows[:, :, last - 1], prefix[:, :, last - 1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("size", [0.01, 1.0, 10.0, 100.0])
@pytest.mark.parametrize("causal", [False, True], ids=["both-ways", "causal"])
def test_inputs_of_any_size_give_finite_results(causal: bool, size: float, dtype: torch.dtype) -> None:
    shape = Shape(n=100, dim=32, heads=2, level="core", causal=causal, dtype=str(dtype).split(".")[1])
    target = door.find("performer", params={"features": 24, "chunk": 16})
    streams = tuple((size * x).requires_grad_() for x in target.inputs(shape))
    out = target.build(shape)(*streams)
    out.float().square().sum().backward()
    assert out.isfinite().all()
    assert all(x.grad is not None and x.grad.isfinite().all() for x in streams)


def test_an_unknown_kernel_is_named() -> None:
    with pytest.raises(AttnprofError, match="kernel"):
        door.find("performer", params={"kernel": "cosine"}).build(Shape(n=64))
