"""Every room has tests that are quick."""

from __future__ import annotations

from pathlib import Path

import pytest

from attnprof.locate import PACKAGE
from tests.conftest import TAKES_SECONDS, UNIT

ROOMS = sorted(path.name for path in PACKAGE.iterdir() if path.is_dir() and not path.name.startswith("_"))
ELSEWHERE = {"cli"}  # a command line is a process: its tests stand in tests/cli


@pytest.mark.parametrize("room", [room for room in ROOMS if room not in ELSEWHERE])
def test_every_room_has_quick_tests(room: str) -> None:
    assert {str(file) for file in (UNIT / room).glob("test_*.py")} - TAKES_SECONDS


def test_what_takes_seconds_exists() -> None:
    assert [name for name in TAKES_SECONDS if not Path(name).is_file()] == []
