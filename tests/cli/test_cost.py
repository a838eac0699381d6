"""`cost`, `audit` and `limit` as a user runs them: their JSON, their text, their refusals."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.console import here

SIZES = ("--dim", "64", "--heads", "4")
KEYS = (
    "impl", "causal", "flops_executed", "flops_core_executed", "flops_core_useful", "exp_ops", "arith_ops",
    "select_ops", "saved_bytes", "peak_bytes", "param_bytes", "state_bytes", "method", "certificate", "reasons",
)  # fmt: skip
MODULE = """
import torch
from torch import nn

class Twice(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.first = nn.Linear(dim, dim, bias=False)
        self.second = nn.Linear(dim, dim, bias=False)

    def forward(self, x):
        return self.second(torch.relu(self.first(x)))
"""


def test_cost_answers_with_the_contracts_keys(tmp_path: Path) -> None:
    run = here("cost", "sparse_strided", "--lengths", "1k,4k", "--json", "--no-cache", *SIZES)
    assert run.code == 0, run.err
    data = run.data
    assert data["target"] == "sparse_strided"
    assert data["point"]["dim"] == 64
    assert [(row["n"], row["pass"]) for row in data["table"]] == [
        (1024, "forward"), (1024, "train"), (4096, "forward"), (4096, "train")
    ]  # fmt: skip
    row = data["table"][0]
    for key in KEYS:
        assert key in row
    assert set(row["certificate"]) == {"counted", "uncounted", "backend", "tile", "convention", "unknown_workspaces"}
    assert set(row["certificate"]["counted"][0]) == {"op", "calls", "flops"}
    for pass_ in ("forward", "train"):
        assert set(data["closed_forms"][pass_]) == {"flops_executed", "flops_core_executed", "saved_bytes"}
    assert "stride" in data["closed_forms"]["train"]["flops_executed"]
    assert "agrees" in data["verdict"]


def test_cost_prints_forms_parts_and_bounds_for_a_reader() -> None:
    run = here(
        "cost", "dense", "--lengths", "1k", "--no-cache", "--memory", "--roofline", "h100", "--certificate", *SIZES
    )
    assert run.code == 0, run.err
    for words in ("256*n**2", "agrees with the claimed", "what memory holds", "a bound, not a", "bmm"):
        assert words in run.out, run.out


def test_cost_of_a_users_module(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MODULE)
    run = here("cost", "mine.py:Twice", "--lengths", "1k", "--json", "--dim", "64", cwd=tmp_path)
    assert run.code == 0, run.err
    forward = run.data["table"][0]
    assert forward["flops_executed"] == 4 * 1024 * 64 * 64
    assert forward["flops_core_executed"] == 0
    assert run.data["closed_forms"]["train"]["flops_executed"] == f"{12 * 64 * 64}*n"


def test_limit_answers_with_the_contracts_keys() -> None:
    run = here("limit", "linear", "--memory", "256MiB", "--json", "--verify", *SIZES)
    assert run.code == 0, run.err
    data = run.data
    assert {"target", "pass", "memory_bytes", "n", "peak_bytes", "method"} <= set(data)
    assert data["memory_bytes"] == 2**28
    assert data["n"] % 512 == 0
    verified = data["verified"]
    assert verified["peak_bytes"] == pytest.approx(verified["predicted_bytes"], rel=1e-3)


def test_audit_answers_with_the_contracts_keys() -> None:
    run = here("audit", "flash", "-n", "256", "--json", *SIZES)
    assert run.code == 0, run.err
    assert {"target", "n", "exact", "rows"} <= set(run.data)
    for row in run.data["rows"]:
        assert set(row) == {"counter", "version", "forward", "train", "status", "why"}
    torch_row = next(row for row in run.data["rows"] if row["counter"].startswith("torch"))
    assert "fused attention as nothing" in torch_row["why"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("cost", "lungformer"), "longformer"),
        (("cost", "dense", "--lengths", "1q"), "1k-64k"),
        (("cost", "dense", "--pass", "backward"), "train"),
        (("cost", "dense", "--set", "window=3"), "window"),
        (("cost", "dense", "--dim", "65"), "divide"),
        (("cost", "dense", "--lengths", "1k", "--no-forms", "--roofline", "abacus"), "accelerator"),
        (("limit", "dense", "--memory", "80G"), "80GB"),
        (("limit", "dense", "--memory", "1kB"), "--memory"),
        (("limit", "dense", "--memory", "1GB", "--checkpoint"), "--level block"),
        (("audit", "dense", "-n", "-3"), "length"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_bad_input_gets_one_message_with_a_hint(arguments: tuple[str, ...], words: str) -> None:
    run = here(*arguments)
    assert run.code in (1, 2), run.out
    assert words in run.err
    assert "Traceback" not in run.err


def test_what_choosing_costs_has_a_column_where_anything_is_chosen() -> None:
    run = here("cost", "routing", "--lengths", "1k", "--json")
    row = run.data["table"][0]
    assert row["selection_flops"] == 2 * 1024 * 32 * 512  # queries are the keys, routed once
    assert "selection" in here("cost", "routing", "--lengths", "1k").out
    assert "selection" not in here("cost", "dense", "--lengths", "1k").out
