"""The published form of a run's files: what is written has it, and what has it not is one clear error."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from attnprof.errors import AttnprofError
from attnprof.records import Forecast, Record
from attnprof.run_files import check_header, check_record, fault, record_form, schema
from attnprof.store import RunFolder
from tests.bench import command_lines, hostile
from tests.fakes.records import graph, header, records

LINE = records()[0].to_json()


def written() -> list[dict[str, Any]]:
    """Records of every status and kind, as they are written."""
    made: list[Record] = [*records(), graph("dense")]
    return [json.loads(json.dumps(record.to_json())) for record in made]


def test_all_that_is_written_has_the_form() -> None:
    assert {check_record(line) for line in written()} == {None}
    assert check_header(header()) is None
    with_forecast = {**LINE, "forecast": vars_of(Forecast(1.0, 0.5, 2.0, 6.0)), "limit": 60.0}
    assert check_record(with_forecast) is None


def vars_of(forecast: Forecast) -> dict[str, float]:
    """A forecast as JSON."""
    return {"run_s": forecast.run_s, "low_s": forecast.low_s, "high_s": forecast.high_s, "least_s": forecast.least_s}


def test_every_field_of_a_record_has_a_form() -> None:
    assert set(record_form()["properties"]) == {*LINE, "recorded_at"}
    assert set(record_form()["properties"]["point"]["properties"]) == {*LINE["point"], "runner"}


def test_the_published_schema_is_one() -> None:
    checker = jsonschema.Draft202012Validator(schema())
    checker.check_schema(schema())
    assert [error for line in written() for error in checker.iter_errors(line)] == []
    assert list(checker.iter_errors({**LINE, "status": "fine"}))


DAMAGES = {
    "n is a text": ({"point": {**LINE["point"], "n": "abc"}}, "point.n is 'abc', not integer"),
    "n is 0": ({"point": {**LINE["point"], "n": 0}}, "point.n is 0, which is out of range"),
    "causal is a word": ({"point": {**LINE["point"], "causal": "no"}}, "point.causal is 'no', not boolean"),
    "an unknown pass": (
        {"point": {**LINE["point"], "pass": "sideways"}},
        "point.pass is 'sideways', not one of forward",
    ),
    "no device": ({"point": {k: v for k, v in LINE["point"].items() if k != "device"}}, "point lacks device"),
    "a negative time": ({"measured": {"wall_s": {"median": -1, "low": 0, "high": 1}}}, "measured.wall_s.median is -1"),
    "a time out of its bounds": ({"measured": {"wall_s": {"median": 3, "low": 1, "high": 2}}}, "outside of its bounds"),
    "rounds of texts": (
        {"measured": {"wall_s": {"median": 1, "low": 1, "high": 1, "rounds": [[1, "x"]]}}},
        "measured.wall_s.rounds[0][1] is 'x', not number",
    ),
    "a yes for a number": ({"cost": {"flops_executed": True}}, "cost.flops_executed is True, not integer"),
    "a number of hundreds of digits": ({"cost": {"flops_executed": 10**400}}, "a number of hundreds of digits"),
    "reasons that are a list": ({"reasons": ["x"]}, "reasons is ['x'], not object"),
}


@pytest.mark.parametrize(("change", "said"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_record_is_one_clear_error_with_file_and_line(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    with RunFolder.create(tmp_path / "run", {}) as run:
        run.append(records()[0])
    (shard,) = (tmp_path / "run").glob("records-*.jsonl")
    shard.write_text(shard.read_text() + json.dumps({**LINE, **change}) + "\n")
    with pytest.raises(AttnprofError) as error:
        RunFolder.open(tmp_path / "run").records()
    assert f"{shard}, line 2 is corrupt: " in error.value.message
    assert said in error.value.message


def test_keys_of_later_versions_are_let_pass() -> None:
    assert check_record({**LINE, "later": {"x": [1]}, "cost": {"new_ops": 3}}) is None


def test_what_is_not_finite_or_nested_without_end_is_no_json(tmp_path: Path) -> None:
    with RunFolder.create(tmp_path / "run", {}):
        pass
    for text in ('{"x": NaN}', "[" * 100_000, '{"a":' * 100_000):
        (tmp_path / "run" / "records-h-1.jsonl").write_text(text + "\n")
        with pytest.raises(AttnprofError, match="line 1 is corrupt: it is not a JSON object"):
            RunFolder.open(tmp_path / "run").records()


def test_a_form_tells_the_place_of_a_fault() -> None:
    assert fault(record_form(), {**LINE, "flags": ["a", 3]}) == "flags[1] is 3, not string"


def test_damaged_runs_are_read_or_refused(tmp_path: Path) -> None:
    """A small part of tests/bench/hostile.py."""
    draw, sound = random.Random(3), records(hostile.SMALL, (1024, 4096))
    ended = {hostile.outcome(hostile.damaged(tmp_path / str(i), draw), sound, page=i == 0) for i in range(60)}
    assert ended == {"read", "refused"}


def test_command_lines_end_with_an_exit_code() -> None:
    """A small part of tests/bench/command_lines.py."""
    found, broken = command_lines.tally(25, seed=5)
    assert broken == {}
    assert sum(found.values()) == 25
