"""Blocks of queries with one memory each."""

from __future__ import annotations

import numpy as np
import pytest

from attnprof.shapes import Shape
from attnprof.targets import door


def test_a_memory_of_one_block_is_block_local_with_one_block_of_look_back() -> None:
    image = door.find("image_1d", params={"query_block": 64, "memory_block": 64})
    local = door.find("block_local", params={"block": 64, "look_back": 1})
    for n, edges in ((1024, 94_720), (4096, 391_168)):
        assert image.edges(Shape(n, causal=True)) == edges
    shape = Shape(300, causal=True)
    assert (image.pattern(shape).dense() == local.pattern(shape).dense()).all()


@pytest.mark.parametrize("memory", [4, 6, 12, 20])
def test_any_memory_reads_what_the_rule_says(memory: int) -> None:
    n, block = 50, 8
    mask = door.find("image_1d", params={"query_block": block, "memory_block": memory}).pattern(Shape(n, causal=True))
    i, j = np.indices((n, n))
    assert (mask.dense() == ((j >= i // block * block - memory) & (j <= i))).all()
