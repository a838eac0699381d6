"""Global tokens with projections of their own."""

from __future__ import annotations

import copy

import pytest
import torch

from attnprof import catalog
from attnprof.cost import count
from attnprof.layers.labels import by_lag
from attnprof.model import Shape


def test_edges_are_the_known_counts() -> None:
    target = catalog.find("etc", params={"window": 42, "global_tokens": 16})
    assert target.edges(Shape(1024)) == target.pattern(Shape(1024)).edges() == 75_394
    assert target.edges(Shape(4096)) == target.pattern(Shape(4096)).edges() == 305_794


def test_global_tokens_are_projected_by_matrices_of_their_own() -> None:
    target = catalog.find("etc", params={"window": 4, "global_tokens": 3})
    shape = Shape(20, dim=8, heads=2)
    module = target.build(shape)
    module(*target.inputs(shape)).sum().backward()
    for side in (module.project.top, module.project.long):
        assert side.to_v.weight.grad.abs().sum() > 0
    assert not torch.equal(module.project.top.to_q.weight, module.project.long.to_q.weight)


def test_at_most_half_of_a_short_sequence_is_global() -> None:
    assert [catalog.find("etc").resolve(n)["global_tokens"] for n in (1, 2, 100, 4096)] == [0, 1, 50, 256]


@pytest.mark.parametrize("clip", [0, 1, 4, 40])
@pytest.mark.parametrize("rows", [1, 2, 5, 8])
@pytest.mark.parametrize(("before", "after"), [(0, 0), (1, 1), (3, 0), (0, 2)])
def test_labels_are_laid_out_by_the_lag_of_each_key(rows: int, before: int, after: int, clip: int) -> None:
    products, width = torch.randn(3, rows, 2 * clip + 1), (before + 1 + after) * rows
    lag = torch.arange(width) - before * rows - torch.arange(rows)[:, None]
    expected = products.gather(-1, (lag.clamp(-clip, clip) + clip).expand(3, -1, -1))
    assert torch.equal(by_lag(products, width, -before * rows), expected)


@pytest.mark.parametrize("runner", ["gather", "masked"])
@pytest.mark.parametrize("kv_heads", [2, 4])
def test_a_key_has_the_label_of_its_lag_or_of_its_kind_of_pair(runner: str, kv_heads: int) -> None:
    target = catalog.find("etc", params={"window": 8, "global_tokens": 3, "clip": 2}, runner=runner)
    shape = Shape(30, dim=16, heads=4, kv_heads=kv_heads, level="core", dtype="float64")
    torch.manual_seed(0)
    module, (q, k, v) = target.build(shape), target.inputs(shape)
    for labels in (module.lags, module.others):
        torch.nn.init.normal_(labels)
    out = module(q, k, v)
    for head, i in ((0, 1), (1, 3), (2, 17), (3, 29)):
        group = head * kv_heads // 4
        keys = [j for j in range(30) if i < 3 or j < 3 or abs(i - j) <= 4]
        shown = []
        for j in keys:
            kind = {(True, True): 0, (True, False): 1, (False, True): 2}.get((i < 3, j < 3))
            label = module.lags[group, max(-2, min(j - i, 2)) + 2] if kind is None else module.others[group, kind]
            shown.append(q[0, head, i] @ (k[0, group, j] + label) / 2)
        expected = torch.stack(shown).softmax(0) @ v[0, group, keys]
        torch.testing.assert_close(out[0, head, i], expected, rtol=1e-10, atol=1e-10)


def test_a_copy_of_the_core_has_labels_of_its_own() -> None:
    target = catalog.find("etc", params={"window": 8, "global_tokens": 3})
    shape = Shape(30, dim=16, heads=2, level="core")
    module, streams = target.build(shape), target.inputs(shape)
    before, other = module(*streams), copy.deepcopy(module)
    torch.nn.init.normal_(module.lags)
    torch.testing.assert_close(other(*streams), before)


def test_labels_cost_a_product_with_each_of_them_and_nothing_a_pair() -> None:
    shape = Shape(4096, dim=64, heads=2)
    few, many = (count(catalog.find("etc", params={"clip": clip}), shape, "forward").cost for clip in (4, 12))
    assert many.flops_core_executed is not None
    assert few.flops_core_executed is not None
    assert many.flops_core_executed - few.flops_core_executed == 2 * 4096 * (25 - 9) * 64
    assert many.flops_core_useful is not None
    assert many.flops_core_executed <= 2.5 * many.flops_core_useful
