import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnprof import units
from attnprof.errors import AttnprofError
from attnprof.units import Setting, format_length, format_value, parse_length, parse_lengths, parse_size, parse_value

LENGTHS = {
    "1k": (1024,),
    "1K": (1024,),
    "1m": (1048576,),
    "1.5k": (1536,),
    "1k-64k": (1024, 2048, 4096, 8192, 16384, 32768, 65536),
    "1k-10k": (1024, 2048, 4096, 8192),
    "1k,3k,10k": (1024, 3072, 10240),
    "1k-64k:x4": (1024, 4096, 16384, 65536),
    "1k-2k:x1.5": (1024, 1536),
    "1k-17k:+8k": (1024, 9216, 17408),
    "3k,1k,1k-2k": (1024, 2048, 3072),
    "7-7": (7,),
}

FAULTS = {
    "": (0, None),
    "1q": (1, "1"),
    "1kb": (2, "1k"),
    "1k-": (3, "1k"),
    "1k-64": (0, None),
    "1k,,2k": (3, "1k,2k"),
    "1k..64k": (2, "1k-64k"),
    "1k;3k": (2, "1k,3k"),
    "1k - 64k": (2, "1k-64k"),
    "0": (0, None),
    "-4": (0, "4"),
    "1.0001k": (0, None),
    "1k-8k:4": (6, "1k-8k:x4"),
    "1k-8k:x1": (7, None),
    "1k-8k:+0": (7, None),
    "1-1m:+1": (5, None),
}


@pytest.mark.parametrize(("text", "expected"), LENGTHS.items(), ids=LENGTHS)
def test_lengths_expand_sorted_and_unique(text: str, expected: tuple[int, ...]) -> None:
    assert parse_lengths(text) == expected


@pytest.mark.parametrize(("text", "fault"), FAULTS.items(), ids=[repr(t) for t in FAULTS])
def test_a_bad_length_shows_the_place_and_the_nearest_form(text: str, fault: tuple[int, str | None]) -> None:
    at, near = fault
    with pytest.raises(AttnprofError) as caught:
        parse_lengths(text)
    shown, caret = caught.value.message.split("\n")[1:3]
    assert shown == f"  {text}"
    assert caret.index("^") - 2 == at
    assert "valid: 1k, 1k-64k" in caught.value.hint
    if near is not None:
        assert f"did you mean {near}?" in caught.value.hint


@given(st.integers(1, 2**40))
def test_a_formatted_length_reads_back(n: int) -> None:
    assert parse_length(format_length(n)) == n


@given(st.lists(st.integers(1, 2**24), min_size=1, max_size=8))
def test_a_list_reads_back_as_its_sorted_set(values: list[int]) -> None:
    assert parse_lengths(",".join(map(format_length, values))) == tuple(sorted(set(values)))


@given(st.integers(1, 2**20), st.integers(0, 2**20), st.integers(2, 9))
def test_a_multiplied_range_starts_at_its_low_end_and_stays_within(low: int, extra: int, factor: int) -> None:
    values = parse_lengths(f"{low}-{low + extra}:x{factor}")
    assert values[0] == low
    assert all(b == a * factor for a, b in itertools.pairwise(values))
    assert values[-1] <= low + extra < values[-1] * factor


@given(st.text(max_size=12))
def test_any_text_is_read_or_refused_with_a_hint(text: str) -> None:
    for parse in (parse_lengths, parse_size, units.parse_setting):
        try:
            parse(text)
        except AttnprofError as error:
            refusal = error
        else:
            continue
        assert "valid:" in refusal.hint


@pytest.mark.parametrize(("n", "text"), [(65536, "64k"), (1000, "1000"), (1048576, "1m"), (1536, "1536"), (1, "1")])
def test_lengths_are_shown_as_the_grammar_writes_them(n: int, text: str) -> None:
    assert format_length(n) == text


SIZES = {
    "80GB": 80 * 10**9,
    "80GiB": 80 * 2**30,
    "1.5kB": 1500,
    "512mib": 512 * 2**20,
    "4096": 4096,
    "2 TB": 2 * 10**12,
}


@pytest.mark.parametrize(("text", "expected"), SIZES.items(), ids=SIZES)
def test_sizes(text: str, expected: int) -> None:
    assert parse_size(text) == expected


def test_a_size_without_a_decimal_or_binary_unit_is_refused() -> None:
    with pytest.raises(AttnprofError) as caught:
        parse_size("80G")
    assert "unknown unit 'G'" in caught.value.message
    assert "did you mean 80" in caught.value.hint
    assert "80GiB" in caught.value.hint


VALUES = {
    "none": None,
    "True": True,
    "false": False,
    "12": 12,
    "-3": -3,
    "4k": 4096,
    "0.5": 0.5,
    "1e-3": 1e-3,
    "relu": "relu",
    "'4k'": "4k",
    '"none"': "none",
    "inf": "inf",
    "3,4": "3,4",
}


@pytest.mark.parametrize(("text", "expected"), VALUES.items(), ids=VALUES)
def test_values(text: str, expected: object) -> None:
    value = parse_value(text)
    assert value == expected
    assert type(value) is type(expected)


@given(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="ascii", exclude_characters="'\"")).map(str.strip)
    | st.sampled_from(["none", "12", "4k", "1e5", "True"])
)
def test_a_formatted_value_reads_back_with_its_type(value: object) -> None:
    back = parse_value(format_value(value))  # type: ignore[arg-type]
    assert back == value
    assert type(back) is type(value)


def test_settings_name_a_target_or_the_only_one() -> None:
    assert units.parse_setting("longformer.window=256") == Setting("longformer", "window", 256)
    assert units.parse_setting("window = none") == Setting(None, "window", None)
    assert units.parse_setting("my.net.width=0.5") == Setting("my.net", "width", 0.5)


@pytest.mark.parametrize(("text", "at"), [("window", 6), ("longformer.=3", 11), ("window=", 7), ("a b=3", 0)])
def test_a_bad_setting_shows_the_place(text: str, at: int) -> None:
    with pytest.raises(AttnprofError) as caught:
        units.parse_setting(text)
    assert caught.value.message.split("\n")[2].index("^") - 2 == at


SHOWN = [
    (units.format_bytes, 1536, "1.50 KiB"),
    (units.format_bytes, 80 * 2**30, "80.0 GiB"),
    (units.format_bytes, 0, "0 B"),
    (units.format_bytes, 1023.9, "1.00 KiB"),
    (units.format_flops, 51.54e9, "51.5 GFLOP"),
    (units.format_flops, 12, "12 FLOP"),
    (units.format_flops, 999_999, "1.00 MFLOP"),
    (units.format_seconds, 0.0031, "3.10 ms"),
    (units.format_seconds, 0.99999, "1.00 s"),
    (units.format_seconds, 42e-6, "42.0 µs"),
    (units.format_seconds, 3e-9, "3.00 ns"),
    (units.format_seconds, 0, "0 s"),
    (units.format_seconds, 119, "119 s"),
    (units.format_seconds, 600, "10 min"),
    (units.format_seconds, 7500, "2 h 05 min"),
    (units.format_count, 12_345, "12,345"),
    (units.format_count, 12.3e6, "12.3 M"),
    (units.format_count, 999_999, "1.00 M"),
    (units.format_count, 4.2e9, "4.20 G"),
]


@pytest.mark.parametrize(("form", "value", "text"), SHOWN, ids=[t for _, _, t in SHOWN])
def test_numbers_are_shown_to_three_digits(form: object, value: float, text: str) -> None:
    assert form(value) == text  # type: ignore[operator]
