"""What a sweep says of itself where nobody watches: a line for each point, and one for each further round."""

from __future__ import annotations

import re

import pytest

from attnprof.cli.progress import Progress, describe
from attnprof.records import Measured, Point, Record
from attnprof.shapes import Shape
from attnprof.stats import over_rounds
from attnprof.words import Status
from tests.fakes.records import SCHEMES, records


def test_a_log_has_a_line_a_point_and_a_line_a_round(capsys: pytest.CaptureFixture[str]) -> None:
    first, second, third, known, *_ = records(SCHEMES[:1], (1024, 4096))
    late = Record(third.kind, third.key, third.point, status=Status.OVER_BUDGET)
    with Progress(3, 600.0, seen=[known.key]) as progress:
        for record in (first, second, first, known, second, late):
            progress.watch(record)
        progress.round_ended(2, 3, 1)
        progress.round_ended(3, 1, 0)
    said = [re.sub(r"ETA [\d.]+ \w+$", "ETA", line) for line in capsys.readouterr().err.splitlines()]
    assert said[0] == "3 points to do, in 10 min at most"
    assert [line.split()[0] for line in said[1:3]] == ["1/3", "2/3"]
    assert all(line.endswith(", ETA") for line in said[1:3])
    assert said[3:] == [
        "round 2: points measured again: 3, intervals still wide: 1, ETA",
        "round 3: points measured again: 1, intervals still wide: 0",
    ]


@pytest.mark.parametrize(
    ("rounds", "said"),
    [
        ([[1.0]], "1.00 s in 1 round"),
        ([[1.0, 1.01, 1.0]], "1.00 s in 1 round"),
        ([[1.0], [1.01]], "1.00 s in 2 rounds"),
        ([[1.0], [1.01], [1.0]], "1.00 s ±1% in 3 rounds"),
    ],
)
def test_a_width_is_said_of_three_processes_and_not_of_samples_of_one(rounds: list[list[float]], said: str) -> None:
    record = Record("cost", "k", Point("dense", Shape(n=1024)), measured=Measured(wall_s=over_rounds(rounds)))
    assert describe(record) == f"dense forward n=1k {said}"
