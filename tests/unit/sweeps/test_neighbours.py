"""Two sweeps on one machine notice each other; what a dead one left is no neighbour."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from attnprof.sweeps.neighbours import PREFIX, measuring


def test_another_process_that_measures_is_seen_while_it_does(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom attnprof.sweeps.neighbours import measuring\n"
        f"with measuring(Path({str(tmp_path)!r})) as beside:\n"
        "    print(beside(), flush=True)\n    sys.stdin.readline()\n"
    )
    with measuring(tmp_path) as beside:
        assert not beside()
        other = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert other.stdout is not None
        assert other.stdout.readline().strip() == "True"
        assert beside()
        other.communicate("\n")
        assert not beside()


def test_a_killed_one_is_no_neighbour_and_its_file_goes(tmp_path: Path) -> None:
    left = tmp_path / f"{PREFIX}1"
    left.touch()
    with measuring(tmp_path) as beside:
        assert not beside()
    assert list(tmp_path.iterdir()) == []


def test_where_nothing_can_be_written_nobody_is_seen(tmp_path: Path) -> None:
    with measuring(tmp_path / "nowhere") as beside:
        assert not beside()
