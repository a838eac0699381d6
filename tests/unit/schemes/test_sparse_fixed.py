"""The fixed pattern: its steps, its dead queries, and the order in which they reach the past."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from attnprof.pattern import Pattern
from attnprof.shapes import Shape
from attnprof.targets import door

SIZES = {"summary": 4}


def pattern(n: int, **params: object) -> Pattern:
    found = door.find("sparse_fixed", params={**SIZES, **params}).pattern(Shape(n, causal=True))  # type: ignore[dict-item]
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("combine", "layer", "at_1024", "at_4096"),
    [("alternate", 0, 16_896, 133_120), ("alternate", 1, 63_808, 516_736), ("merge", 0, 80_384, 649_216)],
    ids=["block", "summary", "merged"],
)
def test_edges_are_the_known_counts(combine: str, layer: int, at_1024: int, at_4096: int) -> None:
    assert pattern(1024, combine=combine).edges(layer) == at_1024
    assert pattern(4096, combine=combine).edges(layer) == at_4096


def test_alone_the_summary_step_leaves_the_first_queries_dead() -> None:
    degree = pattern(256, combine="alternate").slices(1).out_degree()
    assert (np.flatnonzero(degree == 0) == np.arange(16 - 4)).all()
    target = door.find("sparse_fixed", params={**SIZES, "combine": "heads"})
    shape = Shape(256, dim=8, heads=2, causal=True, level="core")
    out = target.build(shape)(*target.inputs(shape))
    assert (out[:, 1, :12] == 0).all()
    assert (out[:, 1, 12:] != 0).all()
    assert torch.isfinite(out).all()


def test_the_block_first_reaches_far_more_than_the_summary_first() -> None:
    whole = pattern(256, combine="alternate")
    near, far = (whole.dense(layer).astype(np.int64) for layer in (0, 1))
    past = 256 * 257 / 2
    block_first = np.count_nonzero(far @ near) / past
    summary_first = np.count_nonzero(near @ far) / past
    assert 0.94 <= block_first < 1
    assert summary_first < 0.25
    assert np.count_nonzero((far + np.eye(256)) @ (near + np.eye(256))) == past


def test_the_stride_follows_the_length_and_the_summary_does_not() -> None:
    assert door.find("sparse_fixed").resolve(65536) == {"stride": 256, "summary": 8, "combine": "merge"}
    assert door.find("sparse_fixed").resolve(4096) == {"stride": 64, "summary": 8, "combine": "merge"}
    assert door.find("sparse_fixed").resolve(1) == {"stride": 1, "summary": 1, "combine": "merge"}
