"""Global tokens with projections of their own."""

from __future__ import annotations

import copy
from math import log
from typing import Any

import pytest
import torch

from attnprof.counting import count
from attnprof.layers.relative_labels import by_lag
from attnprof.shapes import Shape
from attnprof.targets import door
from attnprof.words import Level
from tests.unit.schemes.by_hand import assert_is, column, made, put, weighing


def test_edges_are_the_known_counts() -> None:
    target = door.find("etc", params={"window": 42, "global_tokens": 16})
    assert target.edges(Shape(1024)) == target.pattern(Shape(1024)).edges() == 75_394
    assert target.edges(Shape(4096)) == target.pattern(Shape(4096)).edges() == 305_794


def test_global_tokens_are_projected_by_matrices_of_their_own() -> None:
    target = door.find("etc", params={"window": 4, "global_tokens": 3})
    shape = Shape(20, dim=8, heads=2)
    module = target.build(shape)
    module(*target.inputs(shape)).sum().backward()
    for side in (module.project.top, module.project.long):
        assert side.to_v.weight.grad.abs().sum() > 0
    assert not torch.equal(module.project.top.to_q.weight, module.project.long.to_q.weight)


def test_at_most_half_of_a_short_sequence_is_global() -> None:
    assert [door.find("etc").resolve(n)["global_tokens"] for n in (1, 2, 100, 4096)] == [0, 1, 50, 256]


@pytest.mark.parametrize("clip", [0, 1, 4, 40])
@pytest.mark.parametrize("rows", [1, 2, 5, 8])
@pytest.mark.parametrize(("before", "after"), [(0, 0), (1, 1), (3, 0), (0, 2)])
def test_labels_are_laid_out_by_the_lag_of_each_key(rows: int, before: int, after: int, clip: int) -> None:
    products, width = torch.randn(3, rows, 2 * clip + 1), (before + 1 + after) * rows
    lag = torch.arange(width) - before * rows - torch.arange(rows)[:, None]
    expected = products.gather(-1, (lag.clamp(-clip, clip) + clip).expand(3, -1, -1))
    assert torch.equal(by_lag(products, width, -before * rows), expected)


@pytest.mark.parametrize("impl", ["gather", "masked"])
@pytest.mark.parametrize("kv_heads", [2, 4])
def test_a_key_has_the_label_of_its_lag_or_of_its_kind_of_pair(impl: str, kv_heads: int) -> None:
    target = door.find("etc", params={"window": 8, "global_tokens": 3, "clip": 2}, impl=impl)
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
    target = door.find("etc", params={"window": 8, "global_tokens": 3})
    shape = Shape(30, dim=16, heads=2, level="core")
    module, streams = target.build(shape), target.inputs(shape)
    before, other = module(*streams), copy.deepcopy(module)
    torch.nn.init.normal_(module.lags)
    torch.testing.assert_close(other(*streams), before)


def test_labels_cost_a_product_with_each_of_them_and_nothing_a_pair() -> None:
    shape = Shape(4096, dim=64, heads=2)
    few, many = (count(door.find("etc", params={"clip": clip}), shape, "forward").cost for clip in (4, 12))
    assert many.flops_core_executed is not None
    assert few.flops_core_executed is not None
    assert many.flops_core_executed - few.flops_core_executed == 2 * 4096 * (25 - 9) * 64
    assert many.flops_core_useful is not None
    assert many.flops_core_executed <= 2.5 * many.flops_core_useful


VALUES = (1.0, 10.0, 100.0, 1000.0, 10000.0)


def labelled(core: Any) -> Any:
    """The core with labels that weigh 2, 1, 3 for lags -1, 0, 1, and 5, 1, 4 for the other kinds of pair, for q = 1."""
    put(core.lags, *(log(w) for w in (2, 1, 3)))
    put(core.others, *(log(w) for w in (5, 1, 4)))
    return core


def test_labels_weigh_the_keys_by_hand() -> None:
    """Token 0 is global, a radius of 1, keys 0: all weights are of the labels. Global to global 5, to long 1.

    Long to global 4, to the token before 2, to itself 1, to the next 3.
    """
    expected = [
        (5 * 1 + 10 + 100 + 1000 + 10000) / 9,
        (4 * 1 + 10 + 3 * 100) / 8,
        (4 * 1 + 2 * 10 + 100 + 3 * 1000) / 10,
        (4 * 1 + 2 * 100 + 1000 + 3 * 10000) / 10,
        (4 * 1 + 2 * 1000 + 10000) / 7,
    ]
    for who, core in made("etc", 5, {"window": 2, "global_tokens": 1, "clip": 1}):
        out = labelled(core)(column(1, 1, 1, 1, 1), column(0, 0, 0, 0, 0), column(*VALUES))
        assert_is(out, expected, who)
        mean = [11111 / 5, 111 / 3, 1111 / 4, 11101 / 4, 11001 / 3]
        assert_is(core(column(0, 0, 0, 0, 0), column(0, 0, 0, 0, 0), column(*VALUES)), mean, f"{who}, q = 0")


def test_a_lag_beyond_the_clip_has_the_label_of_the_clip() -> None:
    """A radius of 2: two tokens on weigh 3 as the next does, two back 2. The key of the last token weighs 6 more."""
    expected = [
        (5 * 1 + 10 + 100 + 1000 + 6 * 10000) / 14,
        (4 * 1 + 10 + 3 * 100 + 3 * 1000) / 11,
        (4 * 1 + 2 * 10 + 100 + 3 * 1000 + 18 * 10000) / 28,
        (4 * 1 + 2 * 10 + 2 * 100 + 1000 + 18 * 10000) / 27,
        (4 * 1 + 2 * 100 + 2 * 1000 + 6 * 10000) / 14,
    ]
    for who, core in made("etc", 5, {"window": 4, "global_tokens": 1, "clip": 1}):
        out = labelled(core)(column(1, 1, 1, 1, 1), weighing(1, 1, 1, 1, 6), column(*VALUES))
        assert_is(out, expected, who)


def test_without_a_window_a_long_token_reads_itself_and_the_global_ones() -> None:
    """Two global tokens, a radius of 0: both weigh 4 for a long one. Among global ones each weighs 5, a long one 1."""
    globally = (5 * 1 + 5 * 10 + 100 + 1000 + 10000) / 13
    expected = [globally] * 2 + [(4 * 1 + 4 * 10 + own) / 9 for own in VALUES[2:]]
    for who, core in made("etc", 5, {"window": 0, "global_tokens": 2, "clip": 1}):
        assert_is(labelled(core)(column(1, 1, 1, 1, 1), column(0, 0, 0, 0, 0), column(*VALUES)), expected, who)


def test_without_global_tokens_there_is_the_window_alone() -> None:
    expected = [(1 + 30) / 4, (2 + 10 + 300) / 6, (20 + 100) / 3]
    for who, core in made("etc", 3, {"window": 2, "global_tokens": 0, "clip": 1}):
        assert_is(labelled(core)(column(1, 1, 1), column(0, 0, 0), column(*VALUES[:3])), expected, who)


def test_a_global_token_is_projected_by_its_own_matrices_by_hand() -> None:
    """Values are 2 x of the global token, 3 x of the long ones, queries 0: means over what each reads.

    x = 1, 2, 4, 8: values 2, 6, 12, 24. Token 0 reads all: 11; 1 reads 0, 1, 2: 20 / 3; 2 all: 11; 3 reads 0, 2, 3.
    """
    x = torch.tensor([[[1.0], [2.0], [4.0], [8.0]]], dtype=torch.float64)
    settings: dict[str, Any] = {"window": 2, "global_tokens": 1}
    for who, layer in made("etc", 4, settings, Level.ATTENTION):
        for side, scale in ((layer.project.top, 2.0), (layer.project.long, 3.0)):
            put(side.to_q.weight, 0.0)
            put(side.to_v.weight, scale)
        put(layer.out.weight, 1.0)
        assert_is(layer(x), [11, 20 / 3, 11, 38 / 3], who)
