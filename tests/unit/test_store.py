import dataclasses
import json
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from attnprof import store
from attnprof.errors import AttnprofError
from attnprof.interval import Interval
from attnprof.records import Certificate, Cost, Measured, OpCount, Point, Record
from attnprof.shapes import Shape
from attnprof.store import RunFolder, machine_of

GOLDEN = Path(__file__).parent / "golden"


def record(key: str = "a", n: int = 1024, **changes: object) -> Record:
    point = Point("dense", Shape(n, causal=True), params={"window": 3, "kind": "relu", "none": None})
    measured = Measured(wall_s=Interval(0.5, 0.4, 0.6, ((0.4, 0.5, 0.6),)), peak_bytes=12, threads=2)
    cost = Cost(
        flops_executed=10, certificate=Certificate(counted=(OpCount("mm", 2, 10),)), second_opinion={"fvcore": None}
    )
    whole = Record(
        "cost", key, point, cost=cost, measured=measured, reasons={"energy_j": "no sensor"}, flags=("noisy",)
    )
    return dataclasses.replace(whole, **changes)  # type: ignore[arg-type]


def shard(run: Path, *lines: str, name: str = "records-h-1.jsonl") -> Path:
    file = run / name
    file.write_text("".join(lines))
    return file


def line(key: str = "a", **changes: object) -> str:
    return json.dumps({**record(key).to_json(), **changes}) + "\n"


def test_records_come_back_whole(tmp_path: Path) -> None:
    with RunFolder.create(tmp_path / "run", {"command": "attnprof sweep"}) as run:
        run.append(record("a"))
        run.append(record("b", status="predicted_oom", measured=None))
    again = RunFolder.open(tmp_path / "run")
    assert again.written() == [record("a"), record("b", status="predicted_oom", measured=None)]
    assert again.header["command"] == "attnprof sweep"
    assert again.keys() == {"a", "b"}
    assert [f.name for f in again.shards()] == [f"records-{store._host()}-{os.getpid()}.jsonl"]


def test_samples_come_back_by_round(tmp_path: Path) -> None:
    rounds = ((0.4, 0.5), (0.6,), (0.5, 0.5, 0.4))
    with RunFolder.create(tmp_path / "run", {}) as run:
        run.append(record(measured=Measured(wall_s=Interval(0.5, 0.4, 0.6, rounds))))
    (again,) = RunFolder.open(tmp_path / "run").records()
    assert again.measured is not None
    assert again.measured.wall_s is not None
    assert again.measured.wall_s.rounds == rounds
    assert again.measured.wall_s.samples == (0.4, 0.5, 0.6, 0.5, 0.5, 0.4)


def test_the_newest_record_of_a_key_wins_across_shards(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path, {})
    shard(tmp_path, line(recorded_at="2026-01-02", status="ok"), name="records-a-1.jsonl")
    shard(tmp_path, line(recorded_at="2026-01-01", status="failed"), name="records-b-1.jsonl")
    assert [r.status for r in run.records()] == ["ok"]
    run.append(record(status="oom"))
    assert [r.status for r in run.records()] == ["oom"]
    run.close()


def test_a_failed_point_is_tried_again(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path, {})
    shard(tmp_path, line("a", status="failed"), line("b", status="over_budget"))
    assert run.keys() == {"b"}
    assert run.keys(retried=()) == {"a", "b"}


def test_a_torn_last_line_is_skipped_by_readers_and_dropped_by_the_writer(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path, {})
    file = shard(tmp_path, line("a"), line("b")[:40])
    assert [r.key for r in run.records()] == ["a"]
    assert run.notices == []
    with run.lock():
        assert file.read_text() == line("a")
        assert run.notices == [
            "records-h-1.jsonl: dropped the torn last line (line 2), which a killed process left unfinished"
        ]


def test_a_last_line_that_lacks_only_its_newline_is_kept(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path, {})
    file = shard(tmp_path, line("a"), line("b").rstrip("\n"))
    assert run.keys() == {"a", "b"}
    with run.lock():
        assert file.read_text() == line("a") + line("b")
        assert "completed the last line" in run.notices[0]


CORRUPT = {
    "not JSON": "{nonsense\n",
    "not an object": "[1]\n",
    "no point": json.dumps({"schema_version": 1, "kind": "cost", "key": "x", "status": "ok"}) + "\n",
    "unknown status": line(status="fine"),
    "binary": "\x00\x00\n",
}


@pytest.mark.parametrize("bad", CORRUPT.values(), ids=CORRUPT)
def test_a_corrupt_middle_line_is_named_with_file_and_line(tmp_path: Path, bad: str) -> None:
    run = RunFolder.create(tmp_path, {})
    shard(tmp_path, line("a"), bad, line("b"))
    with pytest.raises(AttnprofError, match=r"records-h-1\.jsonl, line 2 is corrupt"):
        run.records()


def test_a_newer_record_asks_for_an_upgrade(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path, {})
    shard(tmp_path, line("a"), line("b", schema_version=99))
    with pytest.raises(AttnprofError, match=r"line 2: schema version 99") as caught:
        run.records()
    assert "upgrade attnprof" in caught.value.hint


def test_a_newer_or_corrupt_header_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"schema_version": 99}')
    with pytest.raises(AttnprofError, match="schema version 99"):
        RunFolder.open(tmp_path)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(AttnprofError, match=r"run\.json is corrupt"):
        RunFolder.open(tmp_path)


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AttnprofError, match="is not a run"):
        RunFolder.open(tmp_path / "nowhere")


def test_a_run_is_not_created_over_another(tmp_path: Path) -> None:
    RunFolder.create(tmp_path, {})
    with pytest.raises(AttnprofError, match="already holds a run"):
        RunFolder.create(tmp_path, {})


def test_an_unwritable_folder_is_refused_with_a_hint(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(AttnprofError, match="cannot write to") as caught:
        RunFolder.create(tmp_path / "file" / "run", {})
    assert "--out" in caught.value.hint


def test_a_full_disk_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunFolder.create(tmp_path, {})
    run.append(record("a"))
    whole = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: whole(handle, data[:10]))
    with pytest.raises(AttnprofError, match="the disk is full"):
        run.append(record("b"))
    monkeypatch.undo()
    run.append(record("c"))
    assert [r.key for r in run.records()] == ["a", "c"]
    run.close()


def test_a_number_that_json_lacks_is_refused(tmp_path: Path) -> None:
    with RunFolder.create(tmp_path, {}) as run, pytest.raises(AttnprofError, match="cannot be stored"):
        run.append(record(metrics={"gap": float("nan")}))


def test_two_writers_of_one_run_are_refused_with_the_pid(tmp_path: Path) -> None:
    with RunFolder.create(tmp_path, {}).lock():
        other = RunFolder.open(tmp_path)
        with pytest.raises(AttnprofError, match=f"is being written by process {os.getpid()} on"):
            other.append(record())
    other.append(record())
    other.close()


def _write_for_ever(path: Path) -> None:
    run = RunFolder.open(path)
    for number in range(10**6):
        run.append(record(str(number)))


def test_kill_9_loses_nothing_that_was_appended_and_frees_the_lock(tmp_path: Path) -> None:
    RunFolder.create(tmp_path, {})
    writer = multiprocessing.get_context("fork").Process(target=_write_for_ever, args=(tmp_path,))
    writer.start()
    assert writer.pid is not None
    deadline = time.monotonic() + 20
    while len(RunFolder.open(tmp_path).records()) < 20 and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(writer.pid, signal.SIGKILL)
    writer.join()
    run = RunFolder.open(tmp_path)
    kept = [int(r.key) for r in run.records()]
    assert len(kept) >= 20
    assert kept == list(range(len(kept)))
    run.append(record("next"))
    assert run.keys() >= {"0", "next"}
    run.close()


@pytest.mark.parametrize(("version", "impls"), [(1, (None, None, "gather")), (2, ("eager", "sdpa", "gather"))])
def test_every_schema_stays_readable(version: int, impls: tuple[str | None, ...]) -> None:
    """Schema 1 called the implementation `runner`, and named it for patterns alone."""
    run = RunFolder.open(GOLDEN / f"run-v{version}")
    first, second, graph = run.written()
    assert tuple(each.point.impl for each in (first, second, graph)) == impls
    known = record("0123456789abcdef")
    point = dataclasses.replace(known.point, impl=impls[0])
    assert first == dataclasses.replace(known, point=point, schema_version=version)
    assert (second.status, second.measured, second.reasons["measured"]) == (
        "predicted_oom",
        None,
        "needs 137438953472 bytes, 8000000000 are free",
    )
    assert (second.point.shape.m, second.point.shape.kv_heads, second.point.pass_) == (512, 2, "train")
    assert graph.kind == "graph"
    assert graph.metrics == {"edges": 4096, "layers_to_full_reach": 2}


MACHINE = {
    "cpu": "Imaginary 9000",
    "threads": 2,
    "settings": {},
    "packages": {"torch": "2.13"},
    "accelerator": {"uuid": "GPU-aa11", "power_w": 71.5, "mig": None},
}
PASSING = {
    "load_1min": 3.5,
    "memory_bytes": 5,
    "git": {"commit": "c"},
    "accelerator": {"uuid": "GPU-aa11", "power_w": 99},
}
OTHERS: dict[str, object] = {
    "threads": 4,
    "settings": {"MALLOC_ARENA_MAX": "1"},
    "packages": {"torch": "2.14"},
    "accelerator": {"uuid": "GPU-bb22"},
    "toy_driver": "1.2",
}


def test_what_passes_does_not_make_another_machine() -> None:
    assert machine_of({"environment": MACHINE}) == machine_of({"environment": {**MACHINE, **PASSING}})
    assert machine_of({}) == machine_of({"environment": None}) == {}


@pytest.mark.parametrize("name", OTHERS)
def test_what_decides_a_measurement_makes_another_machine(name: str) -> None:
    assert machine_of({"environment": MACHINE}) != machine_of({"environment": {**MACHINE, name: OTHERS[name]}})
