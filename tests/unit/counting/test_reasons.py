"""Why a number is missing: what is so, told from what was not asked, not stated, or not written."""

from __future__ import annotations

from pathlib import Path

import pytest

from attnprof.counting import count
from attnprof.errors import Unsupported
from attnprof.plan.answer import CostQuestion, row
from attnprof.shapes import Shape
from attnprof.targets import door
from attnprof.words import DType, Level, Pass
from tests.unit.counting.modules import ModuleTarget

SHAPE = Shape(64, dim=16, heads=2)


@pytest.mark.parametrize(
    ("name", "told"),
    [("linear", "no edges between tokens: every pair"), ("pooled", "no edges between tokens: they meet")],
)
def test_no_edges_is_said_of_schemes_that_have_none(name: str, told: str) -> None:
    counted = count(door.find(name), SHAPE.replace(causal=False), Pass.FORWARD)
    assert counted.cost.flops_core_useful is None
    assert counted.reasons["flops_core_useful"].startswith(told)
    assert "flops_paper" not in counted.reasons


def test_a_module_has_stated_none_and_may_have_some() -> None:
    import torch

    target = ModuleTarget(lambda: torch.nn.Linear(16, 16), lambda: (torch.randn(1, 64, 16),))
    counted = count(target, SHAPE, Pass.FORWARD)
    assert "states no pattern: `attnprof graph`" in counted.reasons["flops_core_useful"]
    assert "module" in counted.reasons["flops_paper"]
    assert "Linear defines no decoding state" in counted.reasons["state_bytes"]


def test_a_paper_without_a_formula_is_told_from_a_file_without_one(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from attnprof.pattern import Band\n\n\ndef pattern(n, *, window=8):\n    return Band(window)\n"
    )
    own = count(door.find(str(tmp_path / "mine.py")), SHAPE.replace(causal=True), Pass.FORWARD)
    star = count(door.find("star"), SHAPE, Pass.FORWARD)
    assert "pattern file states no formula" in own.reasons["flops_paper"]
    assert star.reasons["flops_paper"] == "the paper states no formula for it"


def test_a_core_that_was_left_out_is_said_to_be() -> None:
    assert "core=False" in count(door.find("dense"), SHAPE, Pass.FORWARD, core=False).reasons["flops_core_executed"]


def test_a_stack_of_blocks_is_not_told_to_write_a_state() -> None:
    shape = SHAPE.replace(level=Level.BLOCK, causal=True)
    assert "stack of blocks" in count(door.find("dense"), shape, Pass.FORWARD).reasons["state_bytes"]
    with pytest.raises(Unsupported, match="stack of blocks") as raised:
        count(door.find("dense"), shape, Pass.DECODE)
    assert "--level attention" in raised.value.hint


@pytest.mark.parametrize("name", ["dense", "cross"])
def test_decoding_has_no_second_length(name: str) -> None:
    with pytest.raises(Unsupported, match="no second length m"):
        count(door.find(name), SHAPE.replace(m=32), Pass.DECODE)


def test_the_state_of_mla_is_its_latents_and_keys_of_positions() -> None:
    """512 + 64 numbers a token, of two bytes: 34,560 for the 60 layers of DeepSeek-V2 (table 1 prints 34.6K)."""
    shape = SHAPE.replace(batch=3, causal=True, dtype=DType.BFLOAT16)
    counted = count(door.find("mla"), shape, Pass.DECODE)
    assert counted.cost.state_bytes == 3 * 64 * (512 + 64) * 2
    assert counted.cost.state_growth_bytes == 3 * (512 + 64) * 2
    assert 60 * counted.cost.state_growth_bytes == 3 * 2 * 34_560
    assert counted.cost.flops_executed is not None


def test_grouped_queries_are_answered_by_dense_attention() -> None:
    shape = Shape(64, dim=32, heads=4, kv_heads=2, causal=True)
    counted = count(door.find("gqa"), shape, Pass.DECODE)
    dense = count(door.find("dense"), shape, Pass.DECODE)
    assert counted.cost.state_bytes == dense.cost.state_bytes
    assert counted.cost.flops_paper == dense.cost.flops_paper == 4 * 65 * 32
    for pass_ in Pass:
        targets = [door.find(name) for name in ("gqa", "dense")]
        gqa, plain = (row(CostQuestion(target, shape, (64,), (pass_,)), 64, pass_) for target in targets)
        assert gqa == plain
        assert gqa["impl"] == "eager"


@pytest.mark.parametrize("body", ["Band(window) + Strided(8)", "Slots.full(n, window)", "Kernel(window)"])
@pytest.mark.parametrize("impl", ["gather", "masked", "flex"])
def test_what_nothing_executes_is_refused(tmp_path: Path, body: str, impl: str) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "from attnprof.pattern import Band, Kernel, Slots, Strided\n\n\n"
        f"def pattern(n, *, window=8):\n    return {body}\n"
    )
    with pytest.raises(Unsupported, match=r"sum of several softmaxes|no edges between tokens to execute"):
        count(door.find(str(path), impl=impl), SHAPE, Pass.FORWARD)
