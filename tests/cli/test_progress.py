"""What a sweep says of itself where nobody watches: a line for each point, and one for each further round."""

from __future__ import annotations

import re

import pytest

from attnprof.cli.progress import Progress
from attnprof.records import Record
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
