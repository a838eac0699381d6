"""`attnprof show`: one scheme or pattern file, as text and as JSON."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from attnprof.cli import show
from attnprof.cli.textpicture import SHADES, text_picture
from attnprof.pattern import Band, Dense, Global
from attnprof.targets import catalog, door
from tests.cli.console import attnprof

PATTERN = '''"""Pairs of neighbours."""
from attnprof.pattern import Blocks


def pattern(n: int, *, causal: bool = False, block: int = 2):
    return Blocks(block, causal=causal)
'''


def test_it_tells_rule_parameters_count_picture_and_bibtex() -> None:
    run = attnprof("show", "longformer")
    assert run.code == 0, run.err
    assert "|i - j| <= window / 2" in run.out
    assert "window = 512 (Beltagy et al. 2020, section 4.2)" in run.out
    assert "2,043,134 (12.18% of all pairs); as the closed form says" in run.out
    assert "@article{beltagy2020longformer," in run.out
    assert "┌" in run.out
    assert "\x1b" not in run.out
    assert run.err == ""


@pytest.mark.parametrize("name", [name for name in catalog.names() if catalog.card(name).leaks])
def test_a_leak_of_the_published_scheme_is_shown_and_not_hidden(name: str) -> None:
    text, data = attnprof("show", name).out, attnprof("show", name, "--json").data
    for leak in catalog.card(name).leaks:
        assert leak in " ".join(text.split())
        assert leak in data["leaks"]


def test_json_holds_the_card_and_the_counts() -> None:
    data = attnprof("show", "sinks", "--n", "1k", "--set", "window=64", "--json").data
    assert data["schema_version"] == 2
    assert data["edges"] == [
        {"layer": 0, "closed": 67_354, "counted": 67_354, "with_multiplicity": 67_354, "density": 67_354 / 1024**2}
    ]
    window = data["parameters"][0]
    assert (window["name"], window["default"], window["value"]) == ("window", 1020, 64)
    assert data["bibtex"].startswith("@inproceedings{xiao2024streaming")


def test_layers_and_heads_that_differ_are_drawn_apart() -> None:
    drawn = attnprof("show", "sparse_strided", "--set", "combine=alternate", "--n", "256", "--json").data["pictures"]
    assert [(it["layer"], it["head"]) for it in drawn] == [(0, 0), (1, 0)]
    assert drawn[0]["lines"] != drawn[1]["lines"]


def test_slots_and_kernels_are_told_in_words() -> None:
    luna = attnprof("show", "luna", "--n", "100").out
    assert "through 16 slots: 1,600 edges from tokens to slots, 1,600 back" in luna
    retnet = attnprof("show", "retnet", "--n", "100").out
    assert "a complete graph of the past: no edge is left out; rank at most 64, fading by 0.96875" in retnet


def test_a_parameter_that_follows_n_shows_its_value_here() -> None:
    assert "; 32 here" in attnprof("show", "sparse_strided", "--n", "1k").out


def test_a_pattern_file_is_shown_too(tmp_path: Path) -> None:
    (tmp_path / "pairs.py").write_text(PATTERN)
    run = attnprof("show", str(tmp_path / "pairs.py"), "--n", "8")
    assert run.code == 0, run.err
    assert "layer 0, head 0: 16 (25.00% of all pairs); no closed form" in run.out
    assert "BibTeX" not in run.out


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["longfrmer"], 1, ["unknown scheme 'longfrmer'", "did you mean longformer"]),
        (["longformer", "--set", "windw=3"], 1, ["windw", "window"]),
        (["longformer", "--set", "bigbird.block=3"], 1, ["bigbird", "write --set block=3"]),
        (["longformer", "--n", "0"], 1, ["a length is positive"]),
        ([], 2, ["Missing argument"]),
    ],
    ids=["name", "parameter", "target", "length", "nothing"],
)
def test_mistakes_are_named_with_the_way_out(arguments: list[str], code: int, words: list[str]) -> None:
    run = attnprof("show", *arguments)
    assert run.code == code
    assert all(word in run.err for word in words), run.err
    assert run.out == ""


@pytest.mark.parametrize("name", [name for name in catalog.names() if name != "dsa"])
def test_every_scheme_can_be_shown(name: str) -> None:
    from attnprof.cli.show import facts_of, lines
    from attnprof.shapes import Shape
    from attnprof.targets.scheme import CatalogTarget

    target = door.find(name)
    assert isinstance(target, CatalogTarget)
    shape = Shape(n=128, causal=target.card.native_causal, heads=2, dim=128)
    text = "\n".join(lines(facts_of(target, shape)))
    assert target.card.title in text
    assert "None" not in text


def test_the_picture_is_exact_where_it_is_full_or_empty() -> None:
    n = 100
    for expr in (Band(10), Dense(True), Global(3) | Band(0)):
        slices = expr.slices(n)
        picture, mask = text_picture(slices, side=32), slices.dense()
        size = n // len(picture[0]) if n % len(picture[0]) == 0 else 4
        for at, line in enumerate(picture):
            for to, mark in enumerate(line):
                part = mask[2 * size * at : 2 * size * (at + 1), size * to : size * (to + 1)]
                assert (mark == SHADES[0]) == (not part.any())
                assert (mark == SHADES[-1]) == bool(part.all())


def test_denser_is_darker() -> None:
    shades = [text_picture(Band(width).slices(64), side=2)[0][0] for width in (0, 1, 4, 15, 40)]
    order = [SHADES.index(mark) for mark in shades]
    assert (np.diff(order) >= 0).all()
    assert order[0] < order[-1]


@pytest.mark.parametrize("width", [40, 70, 100])
def test_prose_is_broken_between_words_and_loses_none(width: int) -> None:
    target = show.chosen("longformer", ())
    facts = show.facts_of(target, show.shape_of(1024, causal=False, heads=8, dim=512))
    whole, narrow = list(show.lines(facts)), list(show.lines(facts, width))
    end = narrow.index(next(line for line in narrow if "Pattern" in line))
    assert " ".join(" ".join(narrow[:end]).split()) == " ".join(
        " ".join(whole[: whole.index(next(line for line in whole if "Pattern" in line))]).split()
    )
    prose = [line for line in narrow[:end] if line.startswith("  ") and "layer 0" not in line]
    assert all(len(line) <= width for line in prose if " " in line.strip())
