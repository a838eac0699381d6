import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnprof.render.axes import MOST_TICKS, length_axis, value_axis

VALUES = st.lists(st.floats(1e-7, 1e16), min_size=1, max_size=20)


@given(VALUES, st.sampled_from(["s", "flops", "bytes", "j"]))
def test_every_value_lies_inside_its_axis(values: list[float], unit: str) -> None:
    axis = value_axis(values, unit)
    assert all(0 < axis.at(v) < 1 for v in values)


@given(VALUES, st.sampled_from(["s", "flops", "bytes"]))
def test_an_axis_has_a_few_rising_ticks_inside_it(values: list[float], unit: str) -> None:
    ticks = value_axis(values, unit).ticks
    assert 1 <= len(ticks) <= MOST_TICKS
    assert [t.at for t in ticks] == sorted({t.at for t in ticks})
    assert all(-1e-9 <= t.at <= 1 + 1e-9 for t in ticks)
    assert len({t.label for t in ticks}) == len(ticks)


def test_bytes_have_ticks_at_powers_of_two() -> None:
    ticks = value_axis([2**20, 2**30], "bytes").ticks
    assert [t.label for t in ticks] == ["1 MiB", "4 MiB", "16 MiB", "64 MiB", "256 MiB", "1 GiB"]
    assert all(math.log2(t.value).is_integer() for t in ticks)


def test_a_narrow_range_has_ticks_between_powers_of_ten() -> None:
    assert [t.label for t in value_axis([0.3, 1.1], "s").ticks] == ["200 ms", "500 ms", "1 s"]


@pytest.mark.parametrize("ns", [(4096,), (1024, 2048), tuple(2**k for k in range(4, 21))], ids=str)
def test_the_length_axis_names_its_longest_length(ns: tuple[int, ...]) -> None:
    axis = length_axis(ns)
    assert axis.ticks[-1].value == ns[-1]
    gaps = [b.at - a.at for a, b in zip(axis.ticks, axis.ticks[1:], strict=False)]
    assert all(gap > 0.08 for gap in gaps)
