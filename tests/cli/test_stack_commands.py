"""Stacks on the command line: a row a group, reach layer by layer, what differs, and errors that show where."""

from __future__ import annotations

from pathlib import Path

from tests.cli.console import attnprof

TEXT = "2 sliding_window window=32 + 1 dense ffn=glu width=96 ; layers=4"
NAME = "2 sliding_window window=32 + 1 dense ffn=glu width=96 ; layers=4"
OWN = """
from torch import nn

class Own(nn.Linear):
    def __init__(self, dim):
        super().__init__(dim, dim)
"""
SIZES = ("--dim", "64", "--heads", "4", "--causal")


def test_cost_has_a_row_for_each_group_and_their_sum() -> None:
    asked = ("cost", TEXT, "--lengths", "256", "--pass", "train,decode", "--level", "block", *SIZES)
    run = attnprof(*asked, "--json")
    assert run.code == 0, run.err
    assert run.data["target"] == NAME
    for row, entry in zip(run.data["table"], run.data["groups"], strict=True):
        groups = entry["groups"]
        assert [(group["kind"], group["count"], group["layers"]) for group in groups] == [
            ("sliding_window", 3, [1, 2, 4]),
            ("dense", 1, [3]),
        ]
        assert groups[1]["ffn"] == {"kind": "glu", "width": 96}
        for figure in ("flops_executed", "flops_core_executed", "flops_core_useful", "state_bytes", "saved_bytes"):
            assert sum(group[figure] for group in (*groups, *entry["ends"])) == row[figure]
        for group in groups:
            parts = group["proj_flops"] + group["flops_core_executed"] + group["ffn_flops_executed"]
            assert parts == group["flops_executed"]
        assert row["peak_bytes"] is not None


def test_cost_prints_groups_then_the_total() -> None:
    run = attnprof("cost", TEXT, "--lengths", "256", *SIZES)
    assert run.code == 0, run.err
    assert "3 x" in run.out
    assert "total" in run.out
    assert "a token" in run.out
    assert "closed form" not in run.out


def test_graph_goes_through_the_layers_and_names_what_differs() -> None:
    text = "3 sliding_window window=32 + 1 dense"
    run = attnprof("graph", TEXT, "--against", text, "--causal", "--n", "256", "--no-page", "--seeds", "0")
    assert run.code == 0, run.err
    for part in (
        "1 period of 3 layers, and the first 1 of one more",
        "layers 1-2           sliding_window window=32: at most 63 tokens",
        "layer 3              dense: all after layer 3",
        "after 2 layers: every distance up to 62, none beyond",
        f"pairs that only one reaches, {TEXT.replace(' ffn=glu width=96', '')}"[:30],
        "after layer 3: ",
    ):
        assert part in run.out


def test_a_toml_file_and_own_code_are_costed(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / "stack.toml").write_text('[[layer]]\nmixer = "own.py:Own"\n[[layer]]\nmixer = "dense"\n')
    run = attnprof("cost", "stack.toml", "--lengths", "64", "--pass", "forward", "--json", *SIZES, cwd=tmp_path)
    assert run.code == 0, run.err
    own, dense = run.data["groups"][0]["groups"]
    assert own["flops_executed"] == 2 * 64 * 64 * 64
    assert run.data["table"][0]["flops_executed"] == own["flops_executed"] + dense["flops_executed"]


def test_errors_show_where(tmp_path: Path) -> None:
    for text, parts in (
        ("2 dense + + 1 linear", ("            ^ expected a layer",)),
        ("2 dens + 1 linear", ("in the layer `dens`", "did you mean dense")),
    ):
        run = attnprof("cost", text, cwd=tmp_path)
        assert run.code == 1
        assert all(part in run.err for part in parts), run.err
    refused = attnprof("cost", "2 dense", "--arg", "width=3", cwd=tmp_path)
    assert "no layer of `2 dense` is code of yours" in refused.err
