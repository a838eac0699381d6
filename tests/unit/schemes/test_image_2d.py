"""Blocks of pixels with a frame, in generation order."""

from __future__ import annotations

import numpy as np
import pytest

from attnprof.shapes import Shape
from attnprof.targets import door


def pixels(n: int, side: int, across: int) -> np.ndarray:
    """Row and column of each token."""
    found = []
    for token in range(n):
        block, inner = divmod(token, side * side)
        found.append((block // across * side + inner // side, block % across * side + inner % side))
    return np.array(found)


@pytest.mark.parametrize(("side", "frame"), [(4, 4), (4, 2), (3, 5), (2, 0)])
def test_a_query_reads_the_pixels_of_its_rectangle_that_exist_already(side: int, frame: int) -> None:
    n = 140
    across = next(width for width in range(1, n) if width**2 >= -(-n // side**2))
    place = pixels(n, side, across)
    mask = door.find("image_2d", params={"query_block": side, "memory_block": frame}).pattern(Shape(n, causal=True))
    for i in range(n):
        top, left = place[i] // side * side
        rows = (place[:, 0] >= top - frame) & (place[:, 0] < top + side)
        columns = (place[:, 1] >= left - frame) & (place[:, 1] < left + side + frame)
        expected = np.flatnonzero(rows & columns & (np.arange(n) <= i))
        assert (np.flatnonzero(mask.dense()[i]) == expected).all()


def test_a_rectangle_has_the_area_of_block_and_frame() -> None:
    """(h_q + h_m) (w_q + 2 w_m) pixels, of which those to the right in the block's own rows come later."""
    n, side, frame = 4096, 8, 8
    degree = door.find("image_2d").pattern(Shape(n, causal=True)).slices().out_degree()
    assert degree.max() == (side + frame) * (side + 2 * frame) - side * frame
