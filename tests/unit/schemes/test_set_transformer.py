"""Set Transformer: equivariant, and what the equations say of torch's own attention."""

from __future__ import annotations

from math import log
from typing import Any

import pytest
import torch
from torch import nn

from attnprof.counting import count
from attnprof.errors import AttnprofError
from attnprof.shapes import Shape
from attnprof.targets import door
from attnprof.words import Level
from tests.unit.schemes.by_hand import assert_is, column, made, put, weighing


@pytest.mark.parametrize("variant", ["paper", "official"])
def test_a_permutation_of_the_tokens_permutes_the_result(variant: str) -> None:
    shape = Shape(n=40, batch=2, dim=16, heads=2, dtype="float64")
    layer = door.find("set_transformer", params={"points": 8, "variant": variant}).build(shape)
    x, order = torch.randn(2, 40, 16, dtype=torch.float64), torch.randperm(40)
    torch.testing.assert_close(layer(x[:, order]), layer(x)[:, order])


def test_the_papers_block_is_made_of_torchs_multihead_attention() -> None:
    shape = Shape(n=20, batch=2, dim=16, heads=2, dtype="float64")
    layer: Any = door.find("set_transformer", params={"points": 8}).build(shape)
    x = torch.randn(2, 20, 16, dtype=torch.float64)

    def block(ours: Any, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        theirs = nn.MultiheadAttention(16, 2, bias=False, batch_first=True).double()
        with torch.no_grad():
            weights = [getattr(ours.attention.project, name).weight for name in ("to_q", "to_k", "to_v")]
            theirs.in_proj_weight.copy_(torch.cat(weights))
            theirs.out_proj.weight.copy_(ours.attention.out.weight)
        h = ours.after_attention(x + theirs(x, y, y)[0])
        return ours.after_rows(h + ours.rows(h))

    points = layer.points.expand(2, -1, -1)
    torch.testing.assert_close(layer(x), block(layer.writing, x, block(layer.reading, points, x)))


def test_the_authors_block_adds_the_projected_queries() -> None:
    shape = Shape(n=20, batch=2, dim=16, heads=2, dtype="float64")
    layer: Any = door.find("set_transformer", params={"points": 8, "variant": "official"}).build(shape)
    x, y = torch.randn(2, 20, 16, dtype=torch.float64), torch.randn(2, 8, 16, dtype=torch.float64)
    block = layer.writing
    q, k, v = (getattr(block.attention.project, name) for name in ("to_q", "to_k", "to_v"))
    heads = []
    for part in (slice(0, 8), slice(8, 16)):
        weights = (q(x)[..., part] @ k(y)[..., part].mT / 16**0.5).softmax(-1)
        heads.append(q(x)[..., part] + weights @ v(y)[..., part])
    h = torch.cat(heads, -1)
    torch.testing.assert_close(block(x, y), h + block.rows(h))


def test_the_core_costs_8_n_m_d() -> None:
    shape = Shape(n=1024, dim=64, heads=2)
    cost = count(door.find("set_transformer"), shape, "forward").cost
    assert cost.flops_core_executed == 8 * 1024 * 32 * 64
    rest = 2 * 64**2 * (2 * 1024 + 2 * 32) * 2 + 2 * 64**2 * (1024 + 32)
    assert cost.flops_executed == 8 * 1024 * 32 * 64 + rest


def test_an_unknown_variant_is_named() -> None:
    with pytest.raises(AttnprofError, match="variant"):
        door.find("set_transformer", params={"variant": "code"}).build(Shape(n=64))


def test_points_gather_and_are_read_by_hand() -> None:
    """Point 0 has the mean of the values -3 ln 2, 0, 3 ln 2: 0. Point 1 weighs them 1, 2, 3: 6 ln 2 / 6 = ln 2.

    These are the keys and the values of the second softmax: q = 1 weighs them 1, 2: 2 ln 2 / 3; q = 0 alike: ln 2 / 2;
    q = -1 as 2, 1: ln 2 / 3.
    """
    two = log(2)
    for who, core in made("set_transformer", 3, {"points": 2}):
        out = core(column(0, 1), weighing(1, 2, 3), column(-3 * two, 0, 3 * two), column(1, 0, -1))
        assert_is(out, [2 * two / 3, two / 2, two / 3], who)


def test_one_point_gives_every_token_the_same() -> None:
    """Of weights 1, 1, 2, 4 of values 8, 0, 4, 2 the one slot is 24 / 8 = 3; whoever reads one slot has its value."""
    for who, core in made("set_transformer", 4, {"points": 1}):
        assert_is(core(column(1), weighing(1, 1, 2, 4), column(8, 0, 4, 2), column(5, -1, 0, 2)), [3] * 4, who)


def identity(layer: Any) -> None:
    """Every weight of the layer the identity, every bias 0."""
    for name, parameter in layer.named_parameters():
        if parameter.ndim == 2 and name != "points":
            put(parameter, *torch.eye(*parameter.shape).flatten().tolist())
        elif "bias" in name:
            put(parameter, *[0.0] * len(parameter))


def test_the_authors_layer_by_hand() -> None:
    """h = q + softmax(q k) v, then h + max(h, 0); all weights 1. Tokens 0, ln 2 / 2, ln 2.

    Point 0: h is their mean ln 2 / 2, so its slot is ln 2. Point 2: weights 1, 2, 4, h = 2 + (ln 2 + 4 ln 2) / 7, its
    slot s = 4 + 10 ln 2 / 7. Token 0 reads both alike: h = (ln 2 + s) / 2, and twice that is 4 + 17 ln 2 / 7.
    With the point 0 alone, every token reads ln 2, and h = x + ln 2 is doubled.
    """
    two = log(2)
    x = torch.tensor([[[0.0], [two / 2], [two]]], dtype=torch.float64)
    for points, expected in (((0, 2), 4 + 17 * two / 7), ((0,), 2 * two)):
        settings: dict[str, Any] = {"points": len(points), "variant": "official"}
        for who, layer in made("set_transformer", 3, settings, Level.ATTENTION):
            identity(layer)
            put(layer.points, *points)
            out = layer(x)
            assert_is(out[:, 0], [expected], who)
            if len(points) == 1:
                assert_is(out, [2 * two, 3 * two, 4 * two], who)


def test_the_papers_layer_by_hand() -> None:
    """Width 2, where a normalised row is (1, -1) or (-1, 1); queries are 0, so that all weights are alike.

    The mean of (3, 0), (0, 1), (0, 1/2) is (1, 1/2): the point's slot is (1, -1), as (1, -1) + (1, 0) normalises to it
    again. Added to the tokens it gives (4, -1), (1, 0), (1, -1/2), all (1, -1). Of the negative tokens it is (-1, 1).
    """
    x = torch.tensor([[[3.0, 0.0], [0.0, 1.0], [0.0, 0.5]]], dtype=torch.float64)
    for who, layer in made("set_transformer", 3, {"points": 1}, Level.ATTENTION, dim=2):
        identity(layer)
        put(layer.points, 0, 0)
        for block in (layer.reading, layer.writing):
            put(block.attention.project.to_q.weight, 0, 0, 0, 0)
            block.after_attention.eps = block.after_rows.eps = 0.0
        assert_is(layer(x), [1, -1] * 3, who)
        assert_is(layer(-x), [-1, 1] * 3, who)
