"""What the peak is made of, the longest n that fits, checkpointing, rooflines, the cache."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from attnprof.counting import count
from attnprof.errors import AttnprofError
from attnprof.plan.accelerators import TABLE, accelerator
from attnprof.plan.aside import aside
from attnprof.plan.checkpointed import checkpointed
from attnprof.plan.count_cache import CountCache, code_hash
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


def test_the_cache_remembers_by_content_and_forgets_with_the_code(tmp_path: Path) -> None:
    made: list[int] = []

    def make() -> int:
        made.append(1)
        return 7

    for code in ("a", "a", "b"):
        cache = CountCache(code, tmp_path)
        assert cache.get({"n": 1}, make) == 7
        cache.close()
    assert len(made) == 2
    extra = tmp_path / "scheme.py"
    extra.write_text("WINDOW = 1")
    before = code_hash([extra])
    extra.write_text("WINDOW = 2")
    assert code_hash([extra]) != before


def test_a_broken_or_unwritable_cache_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "cost-a.json").write_text("{")
    cache = CountCache("a", tmp_path)
    assert cache.get("x", lambda: 1) == 1
    cache.close()
    assert CountCache("a", tmp_path).get("x", lambda: 2) == 1
    blocked = CountCache("a", tmp_path / "cost-a.json" / "below")
    blocked.get("x", lambda: 1)
    blocked.close()


@pytest.mark.skipif(not hasattr(os, "fork") or len(os.sched_getaffinity(0)) < 2, reason="needs fork and two cores")
def test_work_aside_is_done_by_another_process() -> None:
    assert aside(lambda: {"pid": os.getpid()})() != {"pid": os.getpid()}


def test_an_error_aside_is_raised_here() -> None:
    def fail() -> None:
        raise AttnprofError("no such thing")

    with pytest.raises(AttnprofError, match="no such thing"):
        aside(fail)()
