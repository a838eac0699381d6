"""How soon a check says whether a module sees the future: within a second of processor time, imports apart."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from attnprof.checks import examine
from attnprof.shapes import Shape
from attnprof.targets import door

pytestmark = pytest.mark.slow
FUSED = f"{Path(__file__).parents[1] / 'fakes' / 'sound.py'}:Fused"


def test_the_verdict_on_causality_comes_within_a_second() -> None:
    examine(door.find(FUSED), Shape(16, dim=32, heads=2))  # what is imported late
    took: list[float] = []
    began = time.process_time()
    examine(door.find(FUSED), Shape(256, dim=512, heads=8), told=lambda _: took.append(time.process_time() - began))
    assert took[0] < 1.0
