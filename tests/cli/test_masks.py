"""A mask_mod, a file with a full layer, and FlexAttention in a module, through every command that costs or graphs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.console import here

MASKS = """
def causal(b, h, q_idx, kv_idx):
    return q_idx >= kv_idx


def broken(b, h, q_idx, kv_idx):
    return q_idx >= missing
"""
FULL = """
from attnprof.pattern import Band, Dense


def layers():
    return 6


def pattern(n, *, causal=True, layer=0):
    return Dense(causal=causal) if layer % 6 == 5 else Band(15)
"""
FLEX = """
import torch
from torch import nn
from torch.nn.attention.flex_attention import create_block_mask, flex_attention


class Flex(nn.Module):
    def __init__(self, dim=32, heads=2):
        super().__init__()
        self.h, self.qkv = heads, nn.Linear(dim, 3 * dim, bias=False)

    def forward(self, x):
        b, n, c = x.shape
        q, k, v = self.qkv(x).view(b, n, 3, self.h, -1).permute(2, 0, 3, 1, 4)
        mask = create_block_mask(lambda b, h, i, j: i // 16 == j // 16, None, None, n, n, "cpu")
        return flex_attention(q, k, v, block_mask=mask).transpose(1, 2).reshape(b, n, c)
"""
SIZES = ("--dim", "32", "--heads", "2")
EDGES = 128 * 129 // 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the files are."""
    where = tmp_path_factory.mktemp("masks")
    for name, text in (("masks.py", MASKS), ("full.py", FULL), ("flex.py", FLEX)):
        (where / name).write_text(text)
    return where


def test_cost_of_a_mask_mod(folder: Path) -> None:
    run = here("cost", "masks.py:causal", "--lengths", "128", *SIZES, "--json", cwd=folder)
    assert run.code == 0, run.err
    assert [row["flops_core_useful"] for row in run.data["table"]] == [4 * 32 * EDGES, 3 * 4 * 32 * EDGES]
    assert run.data["why"] == "n = 65536: a mask_mod is asked pair by pair, up to n = 32768; n is 65536"


def test_sweep_of_a_mask_mod_counts_and_measures(folder: Path) -> None:
    asked = (
        "sweep",
        "masks.py:causal",
        "--lengths",
        "64,128",
        *SIZES,
        "--rounds",
        "1",
        "--time-budget",
        "0.1",
        "--out",
        "run",
    )
    run = here(*asked, cwd=folder)
    assert run.code == 0, run.err
    assert "4 ok" in run.err + run.out


@pytest.mark.parametrize("verb", [("audit", "--n", "64"), ("limit", "--memory", "20MB"), ("graph", "--n", "64")])
def test_the_other_commands_take_a_mask_mod(folder: Path, verb: tuple[str, ...]) -> None:
    name, *options = verb
    run = here(name, "masks.py:causal", *options, *SIZES, cwd=folder)
    assert run.code == 0, run.err
    assert "Traceback" not in run.err


def test_a_mask_mod_that_fails_is_one_error_line(folder: Path) -> None:
    run = here("cost", "masks.py:broken", "--lengths", "64", *SIZES, "--no-forms", cwd=folder)
    assert run.code == 1
    assert run.err.startswith("error: ")
    assert "line 7, mask_mod broken fails at n = 64: NameError: name 'missing' is not defined" in run.err
    assert "Traceback" not in run.err


def test_cost_of_a_file_with_a_full_layer(folder: Path) -> None:
    """Five windows of 16 keys and one full layer, with forms at lengths that nobody asked for."""
    run = here("cost", "full.py", "--lengths", "1k", "--pass", "forward", "--causal", *SIZES, "--json", cwd=folder)
    assert run.code == 0, run.err
    edges = 5 * (1024 * 16 - 16 * 15 // 2) + 1024 * 1025 // 2
    assert run.data["table"][0]["flops_core_useful"] == 4 * 32 * edges
    assert run.data["closed_forms"]["forward"]["flops_core_executed"] is not None


def test_cost_and_graph_of_flex_attention_in_a_module(folder: Path) -> None:
    """128 tokens in one tile: 2 heads, d = 16, forward 64 FLOPs a pair, backward 160."""
    run = here("cost", "flex.py:Flex", "--lengths", "128", *SIZES, "--no-forms", "--json", cwd=folder)
    assert run.code == 0, run.err
    pairs = 2 * 128 * 128
    assert [row["flops_core_executed"] for row in run.data["table"]] == [64 * pairs, 224 * pairs]
    graph = here("graph", "flex.py:Flex", "--n", "32", *SIZES, "--no-page", cwd=folder)
    assert graph.code == 0, graph.err
    assert "512 edges by changes of the output" in graph.out
    assert "no gradient tells values from selection" in graph.out


def test_sweep_of_flex_attention_goes_on_without_a_backward(folder: Path) -> None:
    asked = (
        "sweep",
        "flex.py:Flex",
        "--lengths",
        "128",
        "--pass",
        "forward,train",
        *SIZES,
        "--rounds",
        "1",
        "--time-budget",
        "0.1",
    )
    run = here(*asked, "--out", "flexrun", cwd=folder)
    assert run.code == 0, run.err
    text = run.err + run.out
    assert "1 ok" in text
    assert "1 unsupported" in text
    assert "FlexAttention does not support backward on CPU" in text
