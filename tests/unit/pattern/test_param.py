"""A parameter at a length, the values that it refuses, and what it is made of where a user's signature states it."""

from __future__ import annotations

import pytest

from attnprof.errors import AttnprofError
from attnprof.pattern.param import Param, at_length
from attnprof.units import Value


@pytest.mark.parametrize(
    ("param", "n", "value", "expected"),
    [
        (Param(64), 8, 64, 64),
        (Param(64, most="n"), 8, 64, 8),
        (Param(64, most="n"), 100, 64, 64),
        (Param(64, most="block"), 100, 64, 16),
        (Param(64, most=lambda n, block: n // block), 100, 64, 6),
        (Param(follows=lambda n: 2 * n), 8, None, 16),
        (Param(follows=lambda n: 2 * n), 8, 3, 3),
        (Param(follows=lambda n: 2 * n, most="n"), 8, None, 8),
        (Param(512, most="n", by_head=True), 8, "64,512", "64,512"),
        (Param(False), 8, True, True),
    ],
)
def test_a_value_at_a_length(param: Param, n: int, value: Value, expected: Value) -> None:
    assert param.at(n, value, {"block": 16}) == expected


def test_a_parameter_sees_those_before_it_as_they_are_and_those_after_it_as_given() -> None:
    params = {
        "chunk": Param(64, most="n"),
        "buckets": Param(follows=lambda n, chunk, rate: n // chunk * rate),
        "rate": Param(64, most="n"),
    }
    assert at_length(params, {"chunk": 64, "buckets": None, "rate": 64}, 16) == {"chunk": 16, "buckets": 64, "rate": 16}


@pytest.mark.parametrize(
    ("param", "value", "told"),
    [
        (Param("ends", words=("ends", "prefix")), "prefx", "unknown layout of mine 'prefx'.*did you mean prefix"),
        (Param(64), "many", "mine.layout is 'many', but its default is 64"),
        (Param(64, least=1), 0, "mine.layout is 0, but it is at least 1.*its default is 64"),
        (Param(least=1), 0, "its default is a function of n"),
        (Param(64), -1, "it is at least 0"),
        (Param(64, by_head=True), "64,many", "not a list of sizes"),
    ],
)
def test_what_is_refused(param: Param, value: Value, told: str) -> None:
    with pytest.raises(AttnprofError, match=f"(?s){told}"):
        param.check("mine", "layout", value)


@pytest.mark.parametrize(("n", "expected"), [(1, 1), (1024, 1), (4095, 1), (4096, 2), (16384, 3), (1 << 20, 4)])
def test_what_practitioners_set_holds_up_to_the_next_length(n: int, expected: int) -> None:
    assert Param(0, by_length=(1, 2, 3, 4)).usual(n) == expected
