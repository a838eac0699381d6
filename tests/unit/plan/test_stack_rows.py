"""The rows of a stack's groups: what each is, and figures that are its own or absent with a reason."""

from __future__ import annotations

from typing import Any

import attnprof
from attnprof.plan.stack_rows import rows_of
from attnprof.shapes import Shape
from attnprof.words import Level, Pass

D = 32


def rows(text: str, level: Level = Level.BLOCK) -> Any:
    shape = Shape(n=64, dim=D, heads=4, causal=True, level=level)
    return rows_of(attnprof.target(text), shape, Pass.FORWARD)


def test_experts_of_a_scheme_of_its_own_are_not_called_active() -> None:
    switch, plain, none = rows("1 switch + 1 dense + 1 dense ffn=none")["groups"]
    assert switch["ffn"] == {"kind": "switch"}
    assert switch["ffn_flops_active"] is None
    assert "capacity" in switch["reasons"]["ffn_flops_active"]
    assert switch["ffn_flops_executed"] > 0
    assert plain["ffn"] == {"kind": "plain", "width": 4 * D}
    assert plain["ffn_flops_active"] == plain["ffn_flops_executed"] == 64 * 16 * D * D
    assert (none["ffn"], none["ffn_flops_executed"]) == ({"kind": "none"}, 0)


def test_layers_without_a_mixer_have_no_core_and_no_state() -> None:
    dense, ffn = rows("1 dense + 2 none ffn=glu width=48")["groups"]
    assert (ffn["kind"], ffn["count"], ffn["layers"]) == (None, 2, [2, 3])
    assert (ffn["proj_flops"], ffn["flops_core_executed"], ffn["state_bytes"]) == (0, 0, 0)
    assert ffn["ffn_flops_executed"] == 2 * 64 * 6 * D * 48
    assert dense["shares_kv"] is None


def test_sharing_layers_name_the_layer_that_keeps() -> None:
    found = rows("2 (1 dense + 2 dense shares_kv=true)", Level.ATTENTION)["groups"]
    assert [(group["layers"], group["shares_kv"]) for group in found] == [([1, 4], None), ([2, 3, 5, 6], [1, 1, 4, 4])]
    assert found[1]["state_bytes"] == 0


def test_projections_core_and_selection_are_all_that_a_mixer_executes() -> None:
    for group in rows("1 dsa + 1 routing + 1 dense", Level.ATTENTION)["groups"]:
        parts = group["proj_flops"] + group["flops_core_executed"] + group["selection_flops"]
        assert parts == group["flops_executed"], group["label"]
        assert group["ffn_flops_executed"] is None
