"""Two runs measured once more, in turns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from attnprof.errors import AttnprofError
from attnprof.store import RunFolder
from attnprof.sweeps.remeasure import interleaved, repeated

COMMAND = "attnprof sweep dense --lengths 64 --time 5m --out 'a b' --rounds=7 --json --set 'x=[1]'"


def test_a_command_is_given_again_into_another_folder(tmp_path: Path) -> None:
    words = repeated({"command": COMMAND, "executable": "/py"}, tmp_path / "new", 2)
    again = ["--no-page", "--out", str(tmp_path / "new"), "--rounds", "2"]
    assert words == ["/py", "-m", "attnprof", "sweep", "dense", "--lengths", "64", "--set", "x=[1]", *again]
    with pytest.raises(AttnprofError, match="made by attnprof graph dense"):
        repeated({"command": "attnprof graph dense"}, tmp_path, 1)


def test_the_two_take_turns_in_every_round(tmp_path: Path) -> None:
    for name in ("a", "b"):
        RunFolder.create(tmp_path / name, {"command": COMMAND, "executable": f"/{name}", "folder": str(tmp_path)})
    asked: list[tuple[str, str, str]] = []

    def run(words: Sequence[str], folder: Path) -> int:
        assert folder == tmp_path
        asked.append((words[0], words[-1], Path(words[-3]).name))
        return 3

    found = interleaved(tmp_path / "a", tmp_path / "b", lambda text: None, run)
    assert [path.name for path in found] == ["a-again1", "b-again1"]
    rounds = [asked[i : i + 2] for i in (0, 2, 4)]
    for number, pair in enumerate(rounds, start=1):
        assert sorted(pair) == [("/a", str(number), "a-again1"), ("/b", str(number), "b-again1")]
    with pytest.raises(AttnprofError, match="ended with exit code 1"):
        interleaved(tmp_path / "a", tmp_path / "b", lambda text: None, lambda words, folder: 1)
