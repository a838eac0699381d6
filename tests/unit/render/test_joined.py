from dataclasses import dataclass
from typing import Any

from attnprof.records import Record
from attnprof.render.joined import joined
from attnprof.render.series import groups
from tests.fakes.records import header, records


@dataclass
class Run:
    header: dict[str, Any]
    made: list[Record]

    def written(self) -> list[Record]:
        return self.made


def test_one_run_stays_as_it_is() -> None:
    run = Run(header(), records())
    assert joined([run]) == (run.made, run.header)


def test_runs_of_one_machine_are_compared() -> None:
    found, head = joined([Run(header(), records()[:28]), Run(header(), records()[28:])])
    assert len(groups(found)) == 4
    assert len(head["runs"]) == 2


def test_runs_of_two_machines_are_never_compared() -> None:
    other = header(environment={"cpu": "another"})
    found, _ = joined([Run(header(), records()), Run(other, records())])
    assert {r.point.place for r in found} == {"cpu, run 1", "cpu, run 2"}
    assert len(groups(found)) == 8
