"""Slices as lists of keys: each operation against the same on Python sets, and the form that it leaves."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from attnprof.pattern import Slices
from tests.unit.pattern.test_every_small_case import well_formed

M = 11


def keys(start: int, stop: int, step: int, m: int = M) -> list[int]:
    return [key for key in range(start, stop, step) if 0 <= key < m]


GRID = list(itertools.product((-4, -1, 0, 3), (0, 1, 5, 11, 14), (1, 2, 3)))


@pytest.mark.parametrize(("start", "stop", "step"), GRID)
def test_one_slice_is_clipped_to_the_columns(start: int, stop: int, step: int) -> None:
    found = Slices.of(2, 1, start, stop, step, M)
    wanted = keys(start, stop, step)
    assert found.dense()[1].nonzero()[0].tolist() == wanted
    assert found.dense()[0].sum() == 0
    assert found.edges == len(wanted)
    assert found.counts.tolist() == ([len(wanted)] if wanted else [])
    assert found.out_degree().tolist() == [0, len(wanted)]
    assert found.in_degree().tolist() == [int(key in wanted) for key in range(M)]
    well_formed(found)


def test_rows_out_of_range_are_dropped_and_rows_are_sorted() -> None:
    found = Slices.of(3, [2, -1, 0, 3, 0], [1, 0, 4, 0, 2], [3, 9, 6, 9, 3], 1, M)
    assert list(zip(found.row.tolist(), found.start.tolist(), found.stop.tolist(), strict=True)) == [
        (0, 2, 3), (0, 4, 6), (2, 1, 3),
    ]  # fmt: skip
    assert (found.n, found.m) == (3, M)
    assert Slices.of(3, 0, 0, 9).m == 3
    assert Slices.empty(4).m == 4
    assert Slices.empty(4, 6).m == 6
    assert Slices.empty(4).edges == 0


def test_pairs_are_joined_where_they_touch() -> None:
    found = Slices.from_pairs(2, [1, 1, 1, 1, 0], [3, 1, 2, 7, 5], M)
    assert [tuple(map(int, part)) for part in zip(found.row, found.start, found.stop, found.step, strict=True)] == [
        (0, 5, 6, 1), (1, 1, 4, 1), (1, 7, 8, 1),
    ]  # fmt: skip
    assert Slices.from_pairs(2, [0], [1]).m == 2


def test_csr_is_row_by_row() -> None:
    found = Slices.of(3, [0, 2, 2], [0, 1, 6], [5, 3, 7], [2, 1, 1], M)
    indptr, indices = found.csr()
    assert indptr.tolist() == [0, 3, 3, 6]
    assert indices.tolist() == [0, 2, 4, 1, 2, 6]


def test_the_past_ends_at_the_query() -> None:
    found = Slices.of(4, [0, 1, 3], [0, 2, 0], [4, 4, 4], [1, 1, 2], 4).past()
    assert [tuple(map(int, pair)) for pair in np.argwhere(found.dense())] == [(0, 0), (3, 0), (3, 2)]
    well_formed(found)


def test_edges_that_are_joined_keep_their_multiplicity() -> None:
    a, b = Slices.of(2, 0, 0, 4, 1, M), Slices.of(2, 0, 2, 6, 1, M)
    assert a.joined(b).edges == 8
    assert a.joined(b).disjoint().edges == 6
    assert a.joined().edges == 4
    assert a.joined(b).m == M


PARTS = [(0, 11, 1), (0, 4, 1), (3, 6, 1), (6, 9, 1), (0, 11, 2), (1, 11, 2), (4, 9, 2), (0, 11, 3), (2, 9, 3)]


@pytest.mark.parametrize("parts", itertools.combinations(PARTS, 3))
def test_a_union_of_three_has_each_key_once(parts: tuple[tuple[int, int, int], ...]) -> None:
    start, stop, step = (list(column) for column in zip(*parts, strict=True))
    found = Slices.of(2, 1, start, stop, step, M).disjoint()
    wanted = set().union(*(keys(*part) for part in parts))
    assert set(found.dense()[1].nonzero()[0].tolist()) == wanted
    assert found.edges == len(wanted)
    assert found.m == M
    assert len(set(found.step.tolist()) - {1}) <= 1
    well_formed(found)


def listed(found: Slices) -> list[tuple[int, int, int, int]]:
    columns = (found.row, found.start, found.stop, found.step)
    return [(int(a), int(b), int(c), int(d)) for a, b, c, d in zip(*columns, strict=True)]


def test_a_union_is_as_few_slices_as_can_be() -> None:
    """Overlapping and touching ones become one, of one step; a stride loses what an interval has, and no more."""
    touching = Slices.of(1, 0, [0, 3, 7], [3, 5, 9], 1, M).disjoint()
    assert listed(touching) == [(0, 0, 5, 1), (0, 7, 9, 1)]
    strided = Slices.of(1, 0, [0, 4, 1], [5, 11, 6], 2, M).disjoint()
    assert listed(strided) == [(0, 0, 11, 2), (0, 1, 6, 2)]
    mixed = Slices.of(1, 0, [0, 3], [11, 6], [2, 1], M).disjoint()
    assert listed(mixed) == [(0, 0, 3, 2), (0, 3, 6, 1), (0, 6, 11, 2)]
    rows = Slices.of(2, [0, 1], [0, 2], [2, 4], 1, M).disjoint()
    assert listed(rows) == [(0, 0, 2, 1), (1, 2, 4, 1)]


def test_strides_meet_in_a_common_one_or_in_single_keys() -> None:
    """Of 2 and 3 in 6 keys' steps: 3 + 2 strides of 6, of which those that begin alike are one."""
    both = Slices.of(1, 0, 0, 1200, [2, 3], 1200).disjoint()
    assert set(both.step.tolist()) == {6}
    assert [start for _, start, _, _ in listed(both)] == [0, 2, 3, 4]
    # 499 and 500 have no common multiple within reach: the one that has more keys stays, the other is taken apart.
    far = Slices.of(1, 0, [0, 0], [5000, 1501], [499, 500], 5000).disjoint()
    assert [step for _, _, _, step in listed(far) if step > 1] == [499]
    assert far.edges == 11 + 4 - 1


def test_slices_of_each_step_are_taken_apart() -> None:
    found = Slices.of(1, 0, [0, 1, 5], [9, 8, 7], [2, 3, 1], M)
    assert [(step, listed(part)) for step, part in found.by_step()] == [
        (1, [(0, 5, 7, 1)]), (2, [(0, 0, 9, 2)]), (3, [(0, 1, 8, 3)]),
    ]  # fmt: skip
    alone = Slices.of(1, 0, 0, 9, 3, M)
    assert [(step, part) for step, part in alone.by_step()] == [(3, alone)]
