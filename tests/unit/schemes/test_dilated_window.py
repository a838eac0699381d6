"""A window with gaps keeps the residues of its dilation apart."""

from __future__ import annotations

import numpy as np

from attnprof.shapes import Shape
from attnprof.targets import door


def test_edges_are_the_known_counts() -> None:
    target = door.find("dilated_window", params={"window": 64, "dilation": 2})
    assert target.edges(Shape(1024)) == target.pattern(Shape(1024)).edges() == 64_448
    assert target.edges(Shape(4096)) == target.pattern(Shape(4096)).edges() == 264_128


def test_tokens_of_different_residue_never_hear_of_each_other() -> None:
    mask = door.find("dilated_window", params={"window": 8, "dilation": 3}).pattern(Shape(60)).dense()
    deep = np.linalg.matrix_power(mask.astype(np.float64), 30) > 0
    residue = np.arange(60) % 3
    assert (deep == (residue[:, None] == residue)).all()
