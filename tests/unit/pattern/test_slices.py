"""Slices as sets: unions name no edge twice and lose none, whatever the strides."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from attnprof.pattern import Slices

N = 60
ONE = st.tuples(st.integers(0, 3), st.integers(0, N - 1), st.integers(1, N), st.sampled_from([1, 1, 2, 3, 4, 6, 7, 12]))


def dense(parts: list[tuple[int, int, int, int]]) -> np.ndarray:
    mask = np.zeros((4, N), dtype=bool)
    for row, start, length, step in parts:
        mask[row, start : start + length : step] = True
    return mask


def sliced(parts: list[tuple[int, int, int, int]]) -> Slices:
    row, start, length, step = (np.array(column) for column in zip(*parts, strict=True))
    return Slices.of(4, row, start, start + length, step, N)


@given(st.lists(ONE, min_size=1, max_size=12))
def test_a_union_has_each_edge_once(parts: list[tuple[int, int, int, int]]) -> None:
    union, mask = sliced(parts).disjoint(), dense(parts)
    assert (union.dense() == mask).all()
    assert union.edges == mask.sum()
    assert (union.out_degree() == mask.sum(axis=1)).all()
    assert (union.in_degree() == mask.sum(axis=0)).all()
    assert len(np.unique(union.step[union.step > 1])) <= 1


@given(st.lists(ONE, min_size=1, max_size=12))
def test_csr_lists_the_keys_of_each_row(parts: list[tuple[int, int, int, int]]) -> None:
    indptr, indices = sliced(parts).disjoint().csr()
    mask = dense(parts)
    for row in range(4):
        assert sorted(indices[indptr[row] : indptr[row + 1]]) == list(np.flatnonzero(mask[row]))


def test_many_strides_meet_in_a_common_multiple_and_not_in_single_keys() -> None:
    rows = np.arange(4)
    parts = [Slices.of(4, rows, 0, 12_000, step, 12_000) for step in (2, 3, 4)]
    union = parts[0].joined(*parts[1:]).disjoint()
    assert union.edges == 4 * 8_000
    assert len(union.row) <= 4 * 8
