"""What the peak is made of, the longest n that fits, checkpointing, rooflines, the cache."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from attnprof.counting import count
from attnprof.counting.flex_masks import NoValues
from attnprof.errors import AttnprofError
from attnprof.machine import usable_cores
from attnprof.plan import count_service
from attnprof.plan.accelerators import TABLE, accelerator
from attnprof.plan.checkpointed import checkpointed
from attnprof.plan.count_cache import CountCache, code_hash
from attnprof.plan.count_service import MAKERS, CountService, CountTask
from attnprof.plan.limiting import bisected, longest, needs
from attnprof.plan.roofline import Roofline, must_move
from attnprof.plan.waterfall import waterfall
from attnprof.shapes import Shape
from attnprof.targets import door
from attnprof.words import Pass

SHAPE = Shape(512, dim=64, heads=4)


@pytest.mark.parametrize("pass_", ["forward", "train"])
@pytest.mark.parametrize("name", ["dense", "flash", "sliding_window"])
def test_the_parts_of_a_peak_add_up_to_it(name: str, pass_: Pass) -> None:
    target = door.find(name)
    parts = waterfall(target, SHAPE, pass_)
    cost = count(target, SHAPE, pass_).cost
    assert parts.peak_bytes == cost.peak_bytes
    assert parts.parameters == cost.param_bytes
    assert parts.inputs == 512 * 64 * 4
    assert (parts.saved > 0) == (pass_ == "train")
    assert (parts.workspace > 0) == (name == "flash" and pass_ == "train") or name == "flash"


@pytest.mark.parametrize("name", ["dense", "linear"])
@pytest.mark.parametrize("memory", [2**26, 10**9])
def test_the_longest_length_fits_and_the_next_does_not(name: str, memory: int) -> None:
    target = door.find(name)
    limit = longest(target, SHAPE, "train", memory)
    assert limit.needed_bytes <= memory < needs(target, SHAPE.replace(n=limit.n + 512), "train").needed
    assert limit.needed_bytes == needs(target, SHAPE.replace(n=limit.n), "train").needed


def test_bisection_finds_the_last_that_fits() -> None:
    assert bisected(lambda n: n <= 70_000, 512) == 70_000 // 512 * 512


def test_nothing_fits_into_too_little() -> None:
    with pytest.raises(AttnprofError, match="more than"):
        longest(door.find("dense"), SHAPE, "train", 1000)


def test_a_checkpointed_stack_keeps_a_block_input_each_and_computes_the_forward_again() -> None:
    target = door.find("flash")
    shape = SHAPE.replace(level="block", depth=4)
    plain, again = count(target, shape, "train").cost, count(checkpointed(target), shape, "train").cost
    assert again.saved_bytes is not None
    assert plain.saved_bytes is not None
    assert again.saved_bytes == 4 * 512 * 64 * 4
    assert again.saved_bytes < plain.saved_bytes
    assert (again.flops_executed or 0) > (plain.flops_executed or 0)


def test_checkpointing_wants_blocks() -> None:
    with pytest.raises(AttnprofError, match="blocks"):
        checkpointed(door.find("dense")).build(SHAPE)


def test_a_roofline_is_limited_by_what_takes_longer() -> None:
    line = Roofline("test", flops=10**12, unfused_bytes=10**10, fused_bytes=10**8, flops_per_s=1e12, bytes_per_s=1e9)
    assert line.arithmetic_s == 1
    assert line.bound_s == 1
    assert line.unfused_bound_s == 10
    assert line.limited_by == "memory"
    assert line.to_json()["kind"] == "lower bound, not a measurement"


def test_training_must_move_more_than_the_forward() -> None:
    parts = {"parameters": 100, "buffers": 10, "inputs": 50, "grad_output": 50}
    assert must_move("forward", parts) == 210
    assert must_move("train", parts) == 210 + 160 + 50 + 150


def test_every_accelerator_has_a_source_and_is_found_by_name() -> None:
    for entry in TABLE:
        assert accelerator(entry.name.upper()) is entry
        assert "data sheet" in entry.source or "white paper" in entry.source
        assert entry.peak("float64") == entry.flops_per_s["float32"]
    with pytest.raises(AttnprofError, match="accelerator"):
        accelerator("abacus")


def service(code: str, where: Path) -> CountService:
    return CountService(CountCache(code, where))


def counting(monkeypatch: pytest.MonkeyPatch) -> list[CountTask]:
    """The tasks that are counted from now on, in this process; each answer is its n."""
    made: list[CountTask] = []

    def count(task: CountTask) -> dict[str, int]:
        made.append(task)
        return {"n": task.shape.n, "process": os.getpid()}

    monkeypatch.setitem(MAKERS, "row", count)
    monkeypatch.setattr(count_service, "WORTH", 1)
    return made


def rows(*lengths: int, name: str = "dense", **more: Any) -> list[CountTask]:
    target = door.find(name)
    return [CountTask("row", target, SHAPE.replace(n=n), Pass.FORWARD, **more) for n in lengths]


def test_the_service_remembers_by_content_and_forgets_with_the_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = counting(monkeypatch)
    for code in ("a", "a", "b"):
        with contextlib.closing(service(code, tmp_path)) as asked:
            assert [asked.answer(task)["n"] for task in (*rows(64), *rows(64))] == [64, 64]
    assert len(made) == 2
    extra = tmp_path / "scheme.py"
    extra.write_text("WINDOW = 1")
    before = code_hash([extra])
    extra.write_text("WINDOW = 2")
    assert code_hash([extra]) != before


def test_what_has_no_hash_is_counted_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = counting(monkeypatch)
    asked = service("a", tmp_path)
    asked.prepare([*rows(64, kept=False), *rows(64, name="linear", kept=False)])
    assert made == []
    assert [asked.answer(task)["n"] for task in rows(64, 64, kept=False)] == [64, 64]
    assert len(made) == 2


def test_different_questions_have_different_keys() -> None:
    target = door.find("dense")
    tasks = [
        *rows(64, 128),
        CountTask("row", target, SHAPE.replace(n=64), Pass.TRAIN),
        CountTask("peak", target, SHAPE.replace(n=64), Pass.FORWARD),
        CountTask("forms", target, SHAPE.replace(n=64)),
        CountTask("forms", target, SHAPE.replace(n=64), sizes=("b",)),
        *rows(64, name="linear"),
    ]
    assert len({task.key for task in tasks}) == len(tasks)


def test_a_broken_or_unwritable_cache_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "cost-a.json").write_text("{")
    assert CountCache("a", tmp_path).read() == {}
    CountCache("a", tmp_path).add({"x": 1})
    CountCache("a", tmp_path).add({"y": 2})
    assert CountCache("a", tmp_path).read() == {"x": 1, "y": 2}
    blocked = CountCache("a", tmp_path / "cost-a.json" / "below")
    blocked.add({"x": 1})
    assert blocked.read() == {}


def test_only_a_few_old_caches_are_kept(tmp_path: Path) -> None:
    for at in range(9):
        CountCache(f"old{at}", tmp_path).add({"x": 1})
        os.utime(tmp_path / f"cost-old{at}.json", (at, at))
    CountCache("new", tmp_path).add({"x": 1})
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "cost-new.json", "cost-old6.json", "cost-old7.json", "cost-old8.json"
    ]  # fmt: skip


@pytest.mark.skipif(not hasattr(os, "fork") or usable_cores() < 2, reason="needs fork and two cores")
def test_several_targets_are_counted_by_several_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, told = counting(monkeypatch), []
    with contextlib.closing(service("a", tmp_path)) as asked:
        tasks = [*rows(64, 128), *rows(64, name="linear")]
        asked.prepare(tasks, lambda done, total: told.append((done, total)))
        assert made == []
        answers = [asked.answer(task) for task in tasks]
    assert [answer["n"] for answer in answers] == [64, 128, 64]
    assert os.getpid() not in {answer["process"] for answer in answers}
    assert told == [(1, 2), (2, 2)]
    assert service("a", tmp_path).answer(tasks[0]) == answers[0]


def test_a_few_rows_are_counted_here(monkeypatch: pytest.MonkeyPatch) -> None:
    made = counting(monkeypatch)
    monkeypatch.setattr(count_service, "WORTH", 4)
    asked, tasks = CountService(), [*rows(64, 128), *rows(64, name="linear")]
    asked.prepare(tasks)
    assert {asked.answer(task)["process"] for task in tasks} == {os.getpid()}
    assert len(made) == 3


def test_what_fails_in_another_process_is_raised_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(task: CountTask) -> dict[str, Any]:
        raise NoValues

    monkeypatch.setitem(MAKERS, "row", fail)
    monkeypatch.setattr(count_service, "WORTH", 1)
    asked = CountService()
    asked.prepare([*rows(64), *rows(64, name="linear")])
    with pytest.raises(NoValues):
        asked.answer(rows(64)[0])


@pytest.mark.skipif(not hasattr(os, "fork") or usable_cores() < 2, reason="needs fork and two cores")
def test_a_process_that_is_killed_leaves_its_work_to_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    here = os.getpid()

    def die(task: CountTask) -> dict[str, Any]:
        if os.getpid() != here:
            os.kill(os.getpid(), signal.SIGKILL)
        return {"process": os.getpid()}

    monkeypatch.setitem(MAKERS, "row", die)
    monkeypatch.setattr(count_service, "WORTH", 1)
    asked = CountService()
    tasks = [*rows(64), *rows(64, name="linear")]
    asked.prepare(tasks)
    assert asked.answer(tasks[0]) == {"process": here}
