"""Blocks that never meet, and blocks that look back."""

from __future__ import annotations

import numpy as np
import pytest

from attnprof.shapes import Shape
from attnprof.targets import door


@pytest.mark.parametrize(
    ("causal", "back", "at_1024", "at_4096"),
    [(False, 0, 65_536, 262_144), (True, 0, 33_280, 133_120), (True, 1, 94_720, 391_168)],
    ids=["both-ways", "causal", "look-back"],
)
def test_edges_are_the_known_counts(causal: bool, back: int, at_1024: int, at_4096: int) -> None:
    target = door.find("block_local", params={"block": 64, "look_back": back})
    for n, edges in ((1024, at_1024), (4096, at_4096)):
        assert target.edges(Shape(n, causal=causal)) == edges
        assert target.pattern(Shape(n, causal=causal)).edges() == edges


def test_without_looking_back_a_token_never_hears_of_another_block() -> None:
    mask = door.find("block_local", params={"block": 16}).pattern(Shape(64)).dense()
    deep = np.linalg.matrix_power(mask.astype(np.int64), 8) > 0
    assert (deep == mask).all()


def test_a_block_longer_than_the_sequence_is_the_sequence() -> None:
    assert door.find("block_local").resolve(100)["block"] == 100
