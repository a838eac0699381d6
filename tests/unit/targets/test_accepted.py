"""A module is looked at in the width and at a length that it takes, and an error says at which it runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from attnprof.counting.counted import count
from attnprof.errors import Failed
from attnprof.graph.analysis import Request, analyze
from attnprof.shapes import Shape
from attnprof.targets import door
from attnprof.usercode import UserCode, fitted
from attnprof.words import Pass

OWN = Path(__file__).parents[2] / "fakes" / "fixed_sizes.py"


def found(name: str) -> UserCode:
    target = door.find(f"{OWN}:{name}")
    assert isinstance(target, UserCode)
    return target


@pytest.mark.parametrize(("name", "width"), [("Width", 96), ("Table", 48)])
def test_a_width_that_nothing_decides_is_the_modules_own(name: str, width: int) -> None:
    target = found(name)
    assert target.sizes == {"dim": width}
    assert fitted(target, Shape(64)).dim == width
    facts = analyze(target, Request(n=16, side=0)).facts
    assert facts["edges"] == 16**2


def test_a_length_that_a_table_has_is_found() -> None:
    target = found("Length")
    assert target.sizes == {}
    assert target.length_near(Shape(256, dim=32, heads=2)) == 49
    assert target.length_near(Shape(49, dim=32, heads=2)) == 49
    assert analyze(target, Request(side=0)).facts["n"] == 49
    with pytest.raises(Failed, match="must match the size") as refused:
        count(target, Shape(64, dim=32, heads=2), Pass.FORWARD)
    assert "it runs at n = 49" in refused.value.hint


def test_one_that_runs_nowhere_has_no_length() -> None:
    assert found("Nowhere").length_near(Shape(64, dim=32, heads=2)) is None
