"""Counts are remembered by name only where the name says all: stacks of the catalogue's own schemes."""

from __future__ import annotations

from pathlib import Path

import attnprof
from attnprof.plan.ours import is_of_catalogue


def test_stacks_of_the_catalogue_are_known_by_their_text(tmp_path: Path) -> None:
    own = tmp_path / "own.py"
    own.write_text("from attnprof.pattern import Band\ndef pattern(n, *, causal=False):\n    return Band(2)\n")
    toml = tmp_path / "stack.toml"
    toml.write_text('[[layer]]\nmixer = "dense"\n')
    assert is_of_catalogue(attnprof.target("2 dense + 1 linear"))
    assert is_of_catalogue(attnprof.target(str(toml)))
    assert not is_of_catalogue(attnprof.target(f"2 dense + 1 {own}"))
    assert not is_of_catalogue(attnprof.target("2 dense").renamed("mine"))
    assert not is_of_catalogue(attnprof.target("dense"))
