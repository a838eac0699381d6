"""Pooled keys: ragged ends, learned pooling, and cost."""

from __future__ import annotations

from math import log

import pytest
import torch

from attnprof.counting import count
from attnprof.errors import AttnprofError
from attnprof.layers.pooling import pooled
from attnprof.shapes import Shape
from attnprof.targets import door
from tests.unit.schemes.by_hand import assert_is, column, made, put, weighing


@pytest.mark.parametrize("kind", ["mean", "max"])
def test_a_ragged_end_is_pooled_from_what_there_is(kind: str) -> None:
    x = torch.tensor([-1.0, -2.0, -3.0, -4.0, -5.0]).reshape(1, 1, 5, 1)
    expected = [-1.5, -3.5, -5.0] if kind == "mean" else [-1.0, -3.0, -5.0]
    assert pooled(x, 2, kind).flatten().tolist() == expected


def test_the_first_queries_read_the_null_slot_alone() -> None:
    shape = Shape(n=12, dim=16, heads=2, causal=True, level="core", dtype="float64")
    target = door.find("pooled", params={"factor": 4})
    core, streams = target.build(shape), target.inputs(shape)
    out = core(*streams)
    null = core.get_parameter("slots.null")[1, :, 0]
    torch.testing.assert_close(out[0, :, :3], null[:, None].expand(-1, 3, -1))
    assert (out[0, :, 3] - null).abs().max() > 1e-3


@pytest.mark.parametrize("causal", [False, True], ids=["both-ways", "causal"])
def test_cost_is_a_kth_of_dense(causal: bool) -> None:
    shape = Shape(n=3000, dim=64, heads=2, causal=causal, level="core")
    slots = 1001 * 1001 * 3 if causal else 3000 * 1000
    assert count(door.find("pooled"), shape, "forward").cost.flops_core_executed == 4 * slots * 64


def test_a_learned_pooling_costs_2_n_d_squared_for_keys_and_values_each() -> None:
    shape = Shape(n=3000, dim=64, heads=2, level="core")
    target = door.find("pooled", params={"pooling": "conv"})
    plain = 4 * 3000 * 1000 * 64
    assert count(target, shape, "forward").cost.flops_core_executed == plain + 2 * 2 * 3000 * 64**2


def test_an_unknown_pooling_is_named() -> None:
    with pytest.raises(AttnprofError, match="pooling"):
        door.find("pooled", params={"pooling": "median"}).build(Shape(n=64))


# Five tokens in slots of two: (0, 1), (2, 3) and the last token alone.
MEANS = {
    # keys -1, 1 | 0, 2 ln 2 | ln 3: slots 0, ln 2, ln 3, of weights 1, 2, 3; values 0, 2 | 3, 5 | 10: 1, 4, 10
    "mean": (column(-1, 1, 0, 2 * log(2), log(3)), column(0, 2, 3, 5, 10)),
    # keys -1, 0 | ln 2, -5 | ln 3 and values 0, 1 | 4, 3 | 10: the same slots
    "max": (column(-1, 0, log(2), -5, log(3)), column(0, 1, 4, 3, 10)),
}


@pytest.mark.parametrize("kind", MEANS)
def test_slots_weigh_by_their_pooled_keys(kind: str) -> None:
    """q = 1: (1 + 2 4 + 3 10) / 6; q = 0: (1 + 4 + 10) / 3; q = 2: weights 1, 4, 9; q = -1: weights 6, 3, 2."""
    k, v = MEANS[kind]
    for who, core in made("pooled", 5, {"factor": 2, "pooling": kind}):
        out = core(column(1, 0, 2, -1, 1), k, v)
        assert_is(out, [39 / 6, 5, (1 + 16 + 90) / 14, (6 + 12 + 20) / 11, 39 / 6], who)


@pytest.mark.parametrize("kind", MEANS)
def test_a_causal_query_reads_the_null_slot_and_those_that_are_complete(kind: str) -> None:
    """The null slot has weight 1 and the value -2. Token 0 reads it alone; tokens 1 and 2 slot 0, of weight 1, too.

    Tokens 3 and 4 read slot 1 as well, of weight 2; the slot of token 4 is never complete.
    """
    k, v = MEANS[kind]
    for who, core in made("pooled", 5, {"factor": 2, "pooling": kind}, causal=True):
        put(core.slots.null, 0, -2)
        assert_is(core(column(1, 1, 1, 1, 1), k, v), [-2, -1 / 2, -1 / 2, 7 / 4, 7 / 4], who)


def test_a_convolution_weighs_the_tokens_of_its_slot_and_reads_nothing_beyond_the_end() -> None:
    """Keys by (1, 2): 2 a + b of 0, 0 | 2 ln 2, 0 | ln 5 give ln 1, ln 4, ln 5; values by (1, -1): 2, 5, 1.

    (1 2 + 4 5 + 5 1) / 10 = 2.7, and of q = 0 the mean 8 / 3.
    """
    k, v = column(0, 0, 2 * log(2), 0, log(5)), column(3, 1, 7, 2, 1)
    for who, core in made("pooled", 5, {"factor": 2, "pooling": "conv"}):
        put(core.convolved.of_k.weight.weight, 1, 2)
        put(core.convolved.of_v.weight.weight, 1, -1)
        assert_is(core(column(1, 0, 1, 0, 1), k, v), [2.7, 8 / 3, 2.7, 8 / 3, 2.7], who)


def test_slots_of_one_token_are_dense_and_one_slot_of_all_is_their_mean() -> None:
    """Weights 1, 2, 3 of values 6, 0, 12: 42 / 6 = 7; one slot: 6."""
    k, v = weighing(1, 2, 3), column(6, 0, 12)
    for factor, expected in ((1, 7), (3, 6), (9, 6)):
        for who, core in made("pooled", 3, {"factor": factor}):
            assert_is(core(column(1, 1, 1), k, v), [expected] * 3, who)


def test_two_query_heads_read_the_slots_of_their_kv_head() -> None:
    """Slots of weights 1, 3 and values 2, 10: q = 1 gives 8, q = -1 gives (3 2 + 10) / 4 = 4."""
    k, v = column(0, 0, log(3), log(3)), column(1, 3, 9, 11)
    for who, core in made("pooled", 4, {"factor": 2}, heads=2, dim=2, kv_heads=1):
        q = torch.cat([column(1, 1, 1, 1), column(-1, -1, -1, -1)], 1)
        assert_is(core(q, k, v), [8] * 4 + [4] * 4, who)
