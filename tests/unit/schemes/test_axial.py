"""Rows and columns of a grid."""

from __future__ import annotations

import numpy as np
import pytest

from attnprof.shapes import Shape
from attnprof.targets import door


@pytest.mark.parametrize(("n", "edges"), [(1024, 64_512), (4096, 520_192)])
def test_row_and_column_together_are_the_rooks_graph(n: int, edges: int) -> None:
    merged = door.find("axial", params={"combine": "merge"})
    assert merged.edges(Shape(n)) == merged.pattern(Shape(n)).edges() == edges
    degree = merged.pattern(Shape(n)).slices().out_degree()
    assert set(degree.tolist()) == {2 * round(n**0.5) - 1}


@pytest.mark.parametrize("n", [1, 2, 36, 50])
def test_one_row_and_one_column_layer_reach_everything_on_a_full_grid(n: int) -> None:
    pattern = door.find("axial").pattern(Shape(n))
    row, column = (pattern.dense(layer).astype(np.int64) for layer in (0, 1))
    width = door.find("axial").resolve(n)["stride"]
    reached = (column @ row) > 0
    assert reached.all() == (n % width == 0)


def test_the_grid_is_as_square_as_the_length_allows() -> None:
    widths = [door.find("axial").resolve(n)["stride"] for n in (1, 2, 5, 16, 17, 1000)]
    assert widths == [1, 1, 2, 4, 4, 32]
