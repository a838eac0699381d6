"""One interval of a point, whoever reads the run: a program or the page."""

from __future__ import annotations

from pathlib import Path

import pytest

import attnprof
from attnprof.interval import Interval
from attnprof.records import Measured, Point, Record
from attnprof.render.joined import joined
from attnprof.render.series import latest
from attnprof.shapes import Shape
from attnprof.stats import over_rounds
from attnprof.store import RunFolder

ROUNDS = {
    "alone": [[1.0]],
    "one process": [[2.0, 2.01, 2.02]],
    "two": [[3.0, 3.1], [3.3, 3.2]],
    "judge": [[0.1], [0.11], [0.105]],
}


def run_of(folder: Path, *names: str) -> RunFolder:
    """A run with a point a name, of these rounds."""
    with RunFolder.create(folder, {}) as run:
        for name in names:
            measured = Measured(wall_s=over_rounds(ROUNDS[name]))
            run.append(Record("cost", name, Point(name, Shape(n=64)), measured=measured))
    return attnprof.read_run(folder)


def walls(records: list[Record]) -> dict[str, Interval]:
    """The time of each point."""
    return {r.key: r.measured.wall_s for r in records if r.measured and r.measured.wall_s}


@pytest.mark.parametrize("names", [tuple(ROUNDS), ("alone", "one process"), ("alone",)])
def test_a_program_and_the_page_read_one_interval(tmp_path: Path, names: tuple[str, ...]) -> None:
    run = run_of(tmp_path / "run", *names)
    read = walls(run.records())
    assert read == walls(latest(joined([run])[0]))
    assert all(found.bounded is (len(names) == 4) for name, found in read.items() if name != "judge")


def test_what_too_few_processes_took_is_wider_than_their_own_samples_say(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", *ROUNDS)
    read, written = walls(run.records()), walls(run.written())
    assert written == {name: over_rounds(rounds) for name, rounds in ROUNDS.items()}
    assert read["judge"] == written["judge"]
    for name in ("alone", "one process", "two"):
        assert read[name].median == written[name].median
        assert read[name].low < written[name].low <= written[name].high < read[name].high
