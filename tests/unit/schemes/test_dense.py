"""Dense attention, explicit and fused, where keys and queries are not as many."""

from __future__ import annotations

import pytest
import torch

from attnprof.counting import count
from attnprof.errors import Unsupported
from attnprof.shapes import Shape
from attnprof.targets import door
from attnprof.words import Level, Pass
from tests.unit.schemes.by_hand import assert_is, column, made, weighing

NAMES = ("dense", "flash")


@pytest.mark.parametrize("name", NAMES)
def test_the_last_causal_queries_are_the_last_tokens(name: str) -> None:
    """Two queries after two cached keys: they read keys 0 to 2, and all four. Weights 1, 2, 3, 4 of 6, 0, 2, 7.

    (6 + 3 2) / 6 = 2 and (6 + 6 + 28) / 10 = 4; of q = 0 the means 8 / 3 and 15 / 4.
    """
    for who, core in made(name, 2, {}, causal=True, m=4):
        k, v = weighing(1, 2, 3, 4), column(6, 0, 2, 7)
        assert_is(core(column(1, 1), k, v), [2, 4], who)
        assert_is(core(column(0, 0), k, v), [8 / 3, 15 / 4], who)


@pytest.mark.parametrize("name", NAMES)
def test_as_many_queries_as_keys_read_the_past(name: str) -> None:
    for who, core in made(name, 3, {}, causal=True):
        assert_is(core(column(1, 1, 1), weighing(1, 2, 3), column(6, 0, 2)), [6, 2, 2], who)


def test_explicit_and_fused_are_one_function_at_every_length() -> None:
    for n, m in ((1, 9), (5, 9), (9, 9), (40, 600)):
        shape = Shape(n, m=m, batch=2, dim=32, heads=4, kv_heads=2, causal=True, level=Level.CORE)
        dense, flash = (door.find(name) for name in NAMES)
        streams = dense.inputs(shape)
        torch.testing.assert_close(dense.build(shape)(*streams), flash.build(shape)(*streams), rtol=1e-4, atol=1e-5)


def test_under_a_mask_the_kernel_computes_every_pair() -> None:
    shape = Shape(40, m=600, dim=32, heads=4, causal=True, level=Level.CORE)
    cost = count(door.find("flash"), shape, Pass.FORWARD).cost
    assert cost.flops_core_executed == 4 * 4 * 40 * 600 * 8


@pytest.mark.parametrize("name", NAMES)
def test_causal_queries_that_would_read_nothing_are_refused(name: str) -> None:
    with pytest.raises(Unsupported, match="the first 3 would read nothing"):
        door.find(name).build(Shape(7, m=4, dim=8, heads=2, causal=True))
