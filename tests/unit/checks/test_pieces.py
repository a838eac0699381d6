"""The pieces that checks are made of: order of positions, pairs in words, what an examination says of itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from attnprof.checks import CHECKS, Examination, Finding, Unsound
from attnprof.checks.alike import Difference
from attnprof.checks.examined import off, same
from attnprof.checks.future import Prefixes, starts
from attnprof.checks.leaking_pairs import LeakingPairs, _spread
from attnprof.checks.ragged import lengths
from attnprof.words import Severity


@pytest.mark.parametrize("n", [2, 3, 16, 17, 100, 256])
def test_every_position_is_tried_once_the_telling_ones_first(n: int) -> None:
    assert sorted(starts(n)) == list(range(1, n))
    assert {1, n - 1, n // 2} <= set(starts(n)[:3])
    assert sorted(_spread(n)) == list(range(n))


def test_every_beginning_of_the_spread_is_spread() -> None:
    for many in (4, 16, 64):
        gaps = np.diff(sorted(_spread(256)[:many]))
        assert gaps.max() <= 2 * 256 // many


def test_pairs_are_told_by_distance_and_where_they_recur() -> None:
    moved = np.eye(64, dtype=bool)
    for key in (16, 32, 48):
        moved[key, key - 1] = True  # the query before the edge of a block of 16 moves with the key after it
    pairs = LeakingPairs(moved, tuple(range(64)))
    assert pairs.pairs() == [(15, 16), (31, 32), (47, 48)]
    assert pairs.ahead == [1, 1]
    assert "3 pairs read the future, 1 ahead, in 3 of 64 queries, every 16 from 15 on: 15 reads 16" in pairs.told()
    assert pairs.share_of_past == 3.0
    few = LeakingPairs(moved[::2], tuple(range(0, 64, 2)))
    assert "(of 32 tokens replaced)" in few.told()
    assert "every" not in few.told()


def test_a_verdict_says_how_far_it_goes() -> None:
    seen = Prefixes(4, {1, 3})
    assert seen.told().endswith("(2 positions tried)")
    seen.tried.add(2)
    assert seen.told().endswith("(all 3 positions tried)")
    seen.moved[2] = 0.5
    assert seen.told().startswith("not causal: whatever comes from position 2 on")


def test_an_examination_tells_defects_from_what_is_to_be_looked_at() -> None:
    warning = Finding("ragged_length", Severity.WARNING, "it does not run at n = 7", advice="pad")
    defect = Finding("future_leak", Severity.DEFECT, "1 pair", "layer (mine.py:3)", {"pairs": 1}, "mask it")
    fine = Examination("Mine", 8, "causal", (warning,), ("batch",), {"padding": "no mask"})
    assert fine.to_json()["sound"] is True
    wrong = Examination("Mine", 8, "not causal", (defect, warning), (), {})
    raised = Unsound(wrong)
    assert raised.exit_code == 4
    assert raised.findings == (defect, warning)
    assert str(raised) == "Mine: future_leak in layer (mine.py:3): 1 pair\n  hint: mask it"
    assert wrong.to_json()["findings"][0]["where"] == "layer (mine.py:3)"


def test_differences_are_relative_and_what_is_not_finite_differs() -> None:
    assert off(torch.tensor([1.0, 2.5]), torch.tensor([1.0, 2.0])) == 0.25
    assert off(torch.tensor([float("nan")]), torch.tensor([1.0])) == float("inf")
    assert same(torch.tensor([1.0 + 1e-12], dtype=torch.float64), torch.tensor([1.0], dtype=torch.float64))
    assert not same(torch.tensor([1.0 + 1e-6], dtype=torch.float64), torch.tensor([1.0], dtype=torch.float64))
    told = Difference("output", 0.5, (1, 2, 3, 4, 5, 6), 8).told()
    assert told == "the output differs by 5.0e-01 of its largest value, in 6 of 8 rows: 1, 2, 3, 4, 5, ..."


def test_lengths_that_nothing_divides() -> None:
    assert lengths(256) == (1, 251, 255)
    assert lengths(2) == (1,)


def test_every_check_has_a_name_of_its_own() -> None:
    assert len({check.name for check in CHECKS}) == len(CHECKS) == 13
