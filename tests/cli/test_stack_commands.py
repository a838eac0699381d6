"""Stacks on the command line: a row a group, reach layer by layer, what differs, and errors that show where."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from attnprof.cli.main import cli
from attnprof.errors import AttnprofError

TEXT = "2 sliding_window window=32 + 1 dense ffn=glu width=96 ; layers=4"
OWN = """
from torch import nn

class Own(nn.Linear):
    def __init__(self, dim):
        super().__init__(dim, dim)
"""
SIZES = ("--dim", "64", "--heads", "4", "--causal")


def run(*arguments: str) -> Result:
    """A command in this process, which has loaded all that it needs."""
    return CliRunner().invoke(cli, arguments, standalone_mode=False)


def test_cost_has_a_row_for_each_group_and_their_sum() -> None:
    asked = ("cost", TEXT, "--lengths", "256", "--pass", "train,decode", "--level", "block", *SIZES)
    found = json.loads(run(*asked, "--json", "--no-cache").stdout)
    assert found["target"] == TEXT
    for row, entry in zip(found["table"], found["groups"], strict=True):
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
    out = run("cost", TEXT, "--lengths", "256", "--pass", "forward", "--no-cache", *SIZES).stdout
    assert "3 x" in out
    assert "total" in out
    assert "n = 256, forward: " in out
    assert "as prefill it leaves" in out
    assert "closed form" not in out


def test_graph_goes_through_the_layers_and_names_what_differs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = "3 sliding_window window=32 + 1 dense"
    out = run("graph", TEXT, "--against", text, "--causal", "--n", "256", "--no-page", "--seeds", "0").stdout
    for part in (
        "1 period of 3 layers, and the first 1 of one more",
        "layers 1-2           sliding_window window=32: at most 63 tokens",
        "layer 3              dense: all after layer 3",
        "after 2 layers: every distance up to 62, none beyond",
        f"pairs that only one reaches, {TEXT} and {text}",
        "after layer 3: ",
    ):
        assert part in out


def test_a_toml_file_and_own_code_are_costed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / "stack.toml").write_text('[[layer]]\nmixer = "own.py:Own"\n[[layer]]\nmixer = "dense"\n')
    asked = ("cost", "stack.toml", "--lengths", "64", "--pass", "forward", "--json", *SIZES)
    found = json.loads(run(*asked).stdout)
    own, dense = found["groups"][0]["groups"]
    assert own["flops_executed"] == 2 * 64 * 64 * 64
    assert found["table"][0]["flops_executed"] == own["flops_executed"] + dense["flops_executed"]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("2 dense + + 1 linear", ("            ^ expected a layer",)),
        ("2 dens + 1 linear", ("in the layer `dens`", "did you mean dense")),
    ],
)
def test_errors_show_where(text: str, parts: tuple[str, ...]) -> None:
    error = run("cost", text).exception
    assert isinstance(error, AttnprofError)
    assert all(part in str(error) for part in parts)


def test_what_is_said_of_code_is_refused_where_no_layer_is_code() -> None:
    error = run("cost", "2 dense", "--arg", "width=3").exception
    assert "no layer of `2 dense` is code of yours" in str(error)
