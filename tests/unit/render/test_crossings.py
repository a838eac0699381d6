"""From which n on a scheme needs less: what is stated, and what is not."""

from __future__ import annotations

from typing import Any

import pytest

from attnprof.records import Record
from tests.fakes.crafted import (
    NS,
    cross,
    point,
)


def curve(target: str, *times: float | tuple[float, float, float] | None, flags: tuple[str, ...] = ()) -> list[Record]:
    return [
        point(target, n, wall=t, flags=flags) if t else point(target, n, status="over_budget")
        for n, t in zip(NS, times, strict=False)
    ]


@pytest.mark.parametrize(
    ("ours", "words"),
    [
        ((2.0, 2.1, 2.2, 2.3), "2k–4k"),
        ((0.5, 0.6, 0.7, 0.8), "≤ 1k"),
        ((9.0, 9.0, 9.0, 9.0), "none by 8k"),
        ((0.5, 0.6, 9.0, 99.0), "only up to 2k–4k"),
        ((0.5, 9.0, 0.5, 99.0), "unclear"),
        ((2.0, (2.05, 1.5, 3.0), 2.2, 2.3), "1k–4k"),
    ],
)
def test_a_crossing_is_bracketed_by_certain_points(ours: tuple[Any, ...], words: str) -> None:
    assert cross(curve("a", *ours), curve("flash", 1.0, 2.0, 4.0, 8.0)) == words


def test_a_crossing_without_a_certain_upper_end_is_not_stated() -> None:
    assert cross(curve("a", 2.0, 3.0, 4.1, (7.5, 5.0, 9.0)), curve("flash", 1.0, 2.0, 4.0, 8.0)) == "none by 4k"


def test_a_crossing_on_flagged_points_carries_its_hedge() -> None:
    assert cross(curve("a", 2.0, 2.1, 2.2, 2.3, flags=("noisy",)), curve("flash", 1.0, 2.0, 4.0, 8.0)) == "2k–4k?"


def test_a_baseline_that_was_cut_off_bounds_what_came_after() -> None:
    """It needs no less at longer n than where it was last measured: ours can be less there, never more."""
    assert cross(curve("a", 2.0, 2.5, 2.2, 1.9), curve("flash", 1.0, 2.0, None, None)) == "2k–8k"
    assert cross(curve("a", 0.5, 0.6, 9.0, 9.0), curve("flash", 1.0, 2.0, None, None)) == "≤ 1k"


def test_predictions_do_not_vote() -> None:
    assert cross(curve("a", 2.0, None, None, None), curve("flash", 1.0, 2.0, 4.0, 8.0)) == "none by 1k"
