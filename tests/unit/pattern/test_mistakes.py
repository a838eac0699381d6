"""Mistakes in a pattern file: one clear error that names the value, the file and the line."""

from __future__ import annotations

from pathlib import Path

import pytest

from attnprof.errors import AttnprofError
from attnprof.pattern import Band, Blocks, Strided
from attnprof.shapes import Shape
from attnprof.targets import door

SHAPE = Shape(64, dim=8, heads=1)


def written(folder: Path, body: str) -> Path:
    path = folder / "mine.py"
    path.write_text(f"from attnprof.pattern import Band\n\n\ndef pattern(n, *, window=8):\n    {body}\n")
    return path


def test_what_a_pattern_raises_is_told_with_its_file_line_and_arguments(tmp_path: Path) -> None:
    target = door.find(str(written(tmp_path, "raise ValueError('an odd window')")))
    with pytest.raises(AttnprofError, match=r"mine.py, line 5, fails: ValueError: an odd window") as raised:
        target.pattern(SHAPE)
    assert "pattern(64, window=8)" in str(raised.value.hint)


def test_a_pattern_that_returns_no_expression_is_refused(tmp_path: Path) -> None:
    target = door.find(str(written(tmp_path, "Band(window)")))
    with pytest.raises(AttnprofError, match="the pattern of mine is None"):
        target.pattern(SHAPE)


def test_an_error_of_ours_passes_as_it_is(tmp_path: Path) -> None:
    target = door.find(str(written(tmp_path, "return Band(window, 0, 0)")))
    with pytest.raises(AttnprofError, match=r"^Band has dilation = 0, but a dilation is at least 1"):
        target.pattern(SHAPE)


@pytest.mark.parametrize("made", [lambda: Strided(0), lambda: Blocks(-1), lambda: Band(1, 1, 0)])
def test_sizes_are_at_least_one(made: object) -> None:
    with pytest.raises(AttnprofError, match="is at least 1"):
        made()  # type: ignore[operator]


@pytest.mark.parametrize(("name", "param"), [("linformer", "rank"), ("transformer_xl", "segment"), ("axial", "stride")])
def test_a_parameter_that_divides_or_counts_is_at_least_one(name: str, param: str) -> None:
    with pytest.raises(AttnprofError, match=f"^{name}.{param} is 0, but it is at least 1"):
        door.find(name, params={param: 0})


def test_there_may_be_none_of_what_is_added() -> None:
    assert door.find("transformer_xl", params={"memory": 0}).parameters["memory"] == 0  # type: ignore[attr-defined]
