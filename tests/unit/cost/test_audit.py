"""Other counters: each mistake is recognised, a crash is a row."""

from __future__ import annotations

import pytest
from torch import nn

from attnprof import catalog
from attnprof.cost.auditing import audited, exact_of
from attnprof.cost.counters import COUNTERS, OtherCounter
from attnprof.cost.explain import Exact, explain
from attnprof.model import Shape

SHAPE = Shape(256, dim=64, heads=4)
EXACT = Exact(
    total=1000, core=600, fused=600, fused_dense=1100, fused_unrepeated=500, other_ops=0, weights=7
)  # fmt: skip


@pytest.mark.parametrize(
    ("figure", "status", "word"),
    [
        (1000, "agrees", ""),
        (400, "differs", "fused attention as nothing"),
        (1500, "differs", "nothing were skipped"),
        (900, "differs", "computes again"),
        (0, "differs", "none of the operators"),
        (14, "differs", "once a sequence"),
        (500, "differs", "multiply-adds"),
        (1010, "differs", "elementwise"),
        (1700, "differs", "more than once"),
        (700, "differs", "no formula"),
    ],
)
def test_every_known_mistake_has_its_name(figure: int, status: str, word: str) -> None:
    found, why = explain(figure, EXACT)
    assert found == status
    assert word in why


def test_torch_and_fvcore_agree_on_eager_attention() -> None:
    audit = audited(catalog.find("dense"), SHAPE, COUNTERS[:2])
    rows = {row.counter: row for row in audit.rows}
    assert rows["fvcore"].forward == rows["torch FlopCounterMode"].forward == audit.exact["forward"]
    assert rows["torch FlopCounterMode"].train == audit.exact["train"]
    assert {row.status for row in audit.rows} == {"agrees"}


def test_torchs_counter_is_told_that_it_misses_the_fused_kernel() -> None:
    audit = audited(catalog.find("flash"), SHAPE, [c for c in COUNTERS if c.home == "by_torch"])
    (row,) = audit.rows
    assert row.status == "differs"
    assert "forward: counts fused attention as nothing" in row.why
    assert row.forward == audit.exact["forward"] - exact_of(catalog.find("flash"), SHAPE, "forward").fused


def test_a_counter_that_crashes_is_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(module: nn.Module, inputs: object) -> int:
        raise ZeroDivisionError("no tokens")

    monkeypatch.setattr(OtherCounter, "tally", lambda self, pass_: crash)
    audit = audited(catalog.find("dense"), SHAPE, COUNTERS[:1])
    assert [(row.status, row.forward) for row in audit.rows] == [("failed", None)]
    assert "ZeroDivisionError: no tokens" in audit.rows[0].why


def test_counters_that_are_not_installed_are_named_apart() -> None:
    missing = OtherCounter("abacus", "no-such-distribution", "by_torch")
    audit = audited(catalog.find("dense"), SHAPE, [missing])
    assert audit.rows == ()
    assert audit.absent == ("abacus",)
