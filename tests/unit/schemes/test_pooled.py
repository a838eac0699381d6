"""Pooled keys: ragged ends, learned pooling, and cost."""

from __future__ import annotations

import pytest
import torch

from attnprof import catalog
from attnprof.cost import count
from attnprof.errors import AttnprofError
from attnprof.layers.pooling import pooled
from attnprof.model import Shape


@pytest.mark.parametrize("kind", ["mean", "max"])
def test_a_ragged_end_is_pooled_from_what_there_is(kind: str) -> None:
    x = torch.tensor([-1.0, -2.0, -3.0, -4.0, -5.0]).reshape(1, 1, 5, 1)
    expected = [-1.5, -3.5, -5.0] if kind == "mean" else [-1.0, -3.0, -5.0]
    assert pooled(x, 2, kind).flatten().tolist() == expected


def test_the_first_queries_read_the_null_slot_alone() -> None:
    shape = Shape(n=12, dim=16, heads=2, causal=True, level="core", dtype="float64")
    target = catalog.find("pooled", params={"factor": 4})
    core, streams = target.build(shape), target.inputs(shape)
    out = core(*streams)
    null = core.get_parameter("slots.null")[1, :, 0]
    torch.testing.assert_close(out[0, :, :3], null[:, None].expand(-1, 3, -1))
    assert (out[0, :, 3] - null).abs().max() > 1e-3


@pytest.mark.parametrize("causal", [False, True], ids=["both-ways", "causal"])
def test_cost_is_a_kth_of_dense(causal: bool) -> None:
    shape = Shape(n=3000, dim=64, heads=2, causal=causal, level="core")
    slots = 1001 * 1001 * 3 if causal else 3000 * 1000
    assert count(catalog.find("pooled"), shape, "forward").cost.flops_core_executed == 4 * slots * 64


def test_a_learned_pooling_costs_2_n_d_squared_for_keys_and_values_each() -> None:
    shape = Shape(n=3000, dim=64, heads=2, level="core")
    target = catalog.find("pooled", params={"pooling": "conv"})
    plain = 4 * 3000 * 1000 * 64
    assert count(target, shape, "forward").cost.flops_core_executed == plain + 2 * 2 * 3000 * 64**2


def test_an_unknown_pooling_is_named() -> None:
    with pytest.raises(AttnprofError, match="pooling"):
        catalog.find("pooled", params={"pooling": "median"}).build(Shape(n=64))
