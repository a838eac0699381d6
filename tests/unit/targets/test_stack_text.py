"""The grammar of stacks: what is printed is read back, faults are shown where they stand, layers come out in order."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attnprof.errors import AttnprofError
from attnprof.naming import is_stack_text
from attnprof.targets.stack_layers import expanded
from attnprof.targets.stack_text import LayerText, StackText, format_stack, parse_stack
from attnprof.targets.stack_toml import read_stack

NAMES = st.one_of(
    st.sampled_from(["dense", "mine.py", "a/b.py:Layer", "package.module:Layer", "none", "12"]),
    st.text("ab +;()=.:'", min_size=1, max_size=6).filter(lambda text: text == text.strip()),
)
VALUES = st.one_of(
    st.integers(-(10**9), 10**9),
    st.booleans(),
    st.none(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text("ab +;()=,.14k'", max_size=6).filter(lambda text: text == text.strip()),
)
SETTINGS = st.dictionaries(st.sampled_from(["window", "heads", "layers", "x1", "ffn"]), VALUES, max_size=3)
LAYERS = st.builds(LayerText, NAMES, SETTINGS)
STACKS = st.recursive(
    st.builds(StackText, st.lists(st.tuples(st.integers(1, 9), LAYERS), min_size=1, max_size=4).map(tuple), SETTINGS),
    lambda inner: st.builds(
        StackText,
        st.lists(st.tuples(st.integers(1, 9), st.one_of(LAYERS, inner)), min_size=1, max_size=3).map(tuple),
        SETTINGS,
    ),
    max_leaves=3,
)


@given(STACKS)
@settings(max_examples=150)
def test_what_is_printed_is_read_back(stack: StackText) -> None:
    canonical = stack.canonical()
    text = format_stack(canonical)
    assert parse_stack(text) == canonical
    assert format_stack(parse_stack(text)) == text
    assert canonical.canonical() == canonical


@given(st.text("ab 12+;()=.\"'x:", max_size=24))
@settings(max_examples=200)
def test_any_text_is_read_or_refused_with_a_caret(text: str) -> None:
    try:
        found = parse_stack(text)
    except AttnprofError as error:
        line, caret = str(error).splitlines()[1:3]
        assert line[2:].rstrip() == text.rstrip()
        assert caret.index("^") <= len(text) + 2
    else:
        assert parse_stack(format_stack(found)) == found


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("5 sliding_window window=1k+1 flash;layers=62", "5 sliding_window window=1024 + 1 flash ; layers=62"),
        ("dense + dense", "2 dense"),
        ("2 (3 (dense))", "6 dense"),
        ("(dense + linear) + linear", "1 dense + 2 linear"),
        ("3 (a x=1 + b ; layers=5)", "3 (1 a x=1 + 1 b ; layers=5)"),
        ("b z=1 a=true", "1 b a=true z=1"),
        ("a x=1 + a x=true", "1 a x=1 + 1 a x=true"),
        ('"my file.py:Own" k="a b"', "1 \"my file.py:Own\" k='a b'"),
    ],
)
def test_one_canonical_spelling(text: str, canonical: str) -> None:
    assert format_stack(parse_stack(text)) == canonical


@pytest.mark.parametrize(
    ("text", "at", "rule"),
    [
        ("", 0, "expected a layer"),
        ("5", 1, "expected a layer"),
        ("a b", 2, "expected KEY=VALUE"),
        ("a +", 3, "expected a layer"),
        ("a + x=1", 4, "expected a layer"),
        ("(a", 0, "not closed"),
        ("a )", 2, "no bracket is open"),
        ("a ; layers", 4, "expected KEY=VALUE"),
        ("a x=1 x=2", 6, "said twice"),
        ("0 a", 0, "a count is from 1"),
        ("a 'b", 2, "not closed"),
        ("a ; layers=2 + b", 13, "expected + and a layer"),
    ],
)
def test_a_fault_is_shown_where_it_stands(text: str, at: int, rule: str) -> None:
    with pytest.raises(AttnprofError) as raised:
        parse_stack(text)
    caret = str(raised.value).splitlines()[2]
    assert caret.index("^") == at + 2
    assert rule in caret


def names(text: str) -> str:
    return "".join(layer.name for layer, _ in expanded(parse_stack(text)))


@pytest.mark.parametrize(
    ("text", "layers"),
    [
        ("2 a + b", "aab"),
        ("2 a + b ; layers=8", "aabaabaa"),
        ("2 a + b ; layers=8 tail=fill", "aabaabbb"),
        ("2 a + b ; layers=2", "aa"),
        ("2 (a + b) + c", "ababc"),
        ("2 (a + b ; layers=3) + c ; layers=9", "abaabacab"),
    ],
)
def test_periods_are_repeated_and_cut(text: str, layers: str) -> None:
    assert names(text) == layers


def test_what_a_stack_says_holds_for_layers_that_say_nothing() -> None:
    text = parse_stack("a heads=2 + (b ffn=none + c ; kv_heads=4) ; heads=8 ffn=glu width=64")
    assert [dict(settled.settings) for _, settled in expanded(text)] == [
        {"heads": 2, "ffn": "glu", "width": 64},
        {"heads": 8, "kv_heads": 4, "ffn": None},
        {"heads": 8, "kv_heads": 4, "ffn": "glu", "width": 64},
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a ; layer=4", "did you mean layers"),
        ("a ; layers=0", "at least 1"),
        ("a ; layers=5000", "1 to 4096"),
        ("4000 a + 4000 b", "at most 4096"),
        ("a ; layers=4 tail=end", "tail of a stack 'end'"),
        ("(a ; vocab=4)", "unknown setting of a stack 'vocab'"),
        ("a ; layers=true", "whole number"),
    ],
)
def test_settings_that_are_none_are_refused(text: str, said: str) -> None:
    with pytest.raises(AttnprofError) as raised:
        expanded(parse_stack(text))
    assert said in str(raised.value)


def test_a_toml_file_says_the_same_as_a_line(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("")
    file = tmp_path / "stack.toml"
    file.write_text(
        'layers = 9\nffn = "glu"\nwidth = 64\n[[layer]]\nrepeat = 2\nmixer = "sliding_window"\nwindow = 8\n'
        '[[layer]]\nmixer = "own.py"\n[[layer]]\nrepeat = 2\n'
        '[[layer.layer]]\nmixer = "longformer"\nwindow = [2, 4]\n[[layer.layer]]\nffn = "plain"\n'
    )
    assert format_stack(read_stack(file)) == (
        f"2 sliding_window window=8 + 1 {tmp_path}/own.py + 2 (1 longformer window=2,4 + 1 none ffn=plain) "
        "; ffn=glu layers=9 width=64"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("layers = 3", "no [[layer]] table"),
        ("[[layer]", "is no TOML"),
        ("[[layer]]\nrepeat = 0", "layer 1: repeat is 0"),
        ("[[layer]]\nmixer = 3", "layer 1: mixer is 3"),
        ('[[layer]]\nmixer = "dense"\nwindow = {}', "layer 1: window is a dict"),
        ('[[layer]]\nmixer = "a"\n[[layer.layer]]\nmixer = "b"', "both a mixer and layers"),
    ],
)
def test_a_fault_of_a_file_names_its_table(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "stack.toml"
    file.write_text(text)
    with pytest.raises(AttnprofError) as raised:
        read_stack(file)
    assert said in str(raised.value)


def test_what_exists_is_a_path_before_it_is_a_stack(tmp_path: Path) -> None:
    file = tmp_path / "3 own layers.py"
    assert is_stack_text(str(file))
    file.write_text("")
    assert not is_stack_text(str(file))
    assert not is_stack_text(f"{file}:Layer")
    assert is_stack_text(" + ".join(["1 dense"] * 300))  # longer than any path may be
    assert [is_stack_text(t) for t in ("dense", "a.py:B", "a.b:C", "hf:x:a=1", "2 dense", "a+b", "a x=1", "(a)")] == [
        *[False] * 4,
        *[True] * 4,
    ]
