"""`attnprof graph` of what may leak and what is drawn: the first line, the heading, the exit code."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from torch.nn.attention.flex_attention import create_block_mask

from attnprof.cli.graph import LEAK, progress
from attnprof.cli.main import cli
from tests.cli.console import attnprof

USER = """
import torch
from torch import nn

def past(b, h, q_idx, kv_idx):
    return q_idx >= kv_idx

def near(b, h, q_idx, kv_idx):
    return (q_idx - kv_idx).abs() <= 2

class Causal(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.out = nn.Linear(dim, dim)

    def forward(self, x):
        weights = torch.tril(torch.ones(x.shape[1], x.shape[1], dtype=x.dtype))
        return self.out(weights / weights.sum(-1, keepdim=True) @ x)

class Whole(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.out = nn.Linear(dim, dim)

    def forward(self, x):
        return self.out(x.mean(1, keepdim=True) + x)
"""
LEAKY = "from attnprof.pattern import Band\n\ndef pattern(n, *, causal=False):\n    return Band(3, 1)\n"
DRAWN = """
import numpy as np
from attnprof.pattern import Band, KeyTable

def pattern(n, *, layer=0, seed=0):
    return KeyTable(np.random.default_rng([seed, layer]).integers(0, n, (n, 1))) | Band(0)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "user.py").write_text(USER)
    (tmp_path / "leaky.py").write_text(LEAKY)
    (tmp_path / "drawn.py").write_text(DRAWN)
    ahead = np.triu(np.ones((8, 8), dtype=np.bool_))
    np.savez(tmp_path / "ahead.npz", indptr=np.concatenate([[0], ahead.sum(1).cumsum()]), indices=np.nonzero(ahead)[1])
    mask = create_block_mask(lambda b, h, q, k: q >= k, None, None, 256, 256, device="cpu")
    torch.save(mask.as_tuple(flatten=False)[:-1], tmp_path / "past.pt")
    return tmp_path


def graph(*args: str) -> Result:
    return CliRunner().invoke(cli, ["graph", "--no-page", *args], catch_exceptions=False, standalone_mode=False)


@pytest.mark.parametrize(
    ("args", "code", "first", "heading"),
    [
        (["dense", "--n", "32", "--causal"], 0, "dense", "asked: causal; found: causal, no edge to the future"),
        (["dense", "--n", "32"], 0, "dense", "asked: not given, its own form is bidirectional; found: bidirectional"),
        (["sinks", "--n", "32"], 0, "sinks", "not given, its own form is causal; found: causal, no edge to the future"),
        (["leaky.py", "--n", "32", "--causal"], LEAK, "LEAK: causal was asked for, but 31 edges", "found: a leak"),
        (["leaky.py", "--n", "32"], 0, "leaky", "asked: not given; found: bidirectional"),
        (["user.py:past", "--n", "32"], 0, "past", "asked: not given; found: causal, no edge to the future"),
        (["user.py:past", "--n", "32", "--no-causal"], 0, "past", "asked: bidirectional; found: causal, no edge to"),
        (["user.py:near", "--n", "32", "--causal"], LEAK, "LEAK: causal was asked for, but 61 edges", "found: a leak"),
        (["ahead.npz"], 0, "ahead", "asked: not given; found: bidirectional"),
        (["ahead.npz", "--causal"], LEAK, "LEAK: causal was asked for, but 28 edges", "shares are of all n x n pairs"),
        (["past.pt", "--causal"], 0, "past", "found: not known: partial tiles may hide edges to the future"),
        (
            ["user.py:Causal", "--n", "16"],
            0,
            "Causal",
            "found: causal, no edge to the future in 1 random input",
        ),
        (["user.py:Whole", "--n", "16", "--causal"], LEAK, "LEAK: causal was asked for, but 120 edges", "a leak"),
        (["reformer", "--n", "128"], 0, "reformer", "leaks by its choice of keys, not by an edge: where a chunk"),
    ],
)
def test_what_was_asked_and_what_was_found(folder: Path, args: list[str], code: int, first: str, heading: str) -> None:
    result = graph("--seeds", "0", *args)
    assert result.return_value == code
    assert result.stdout.startswith(first)
    assert heading in result.stdout
    assert "n=32, bidirectional" not in result.stdout


def test_a_leak_of_one_target_comes_before_the_others(folder: Path) -> None:
    result = graph("dense", "leaky.py", "--n", "16", "--causal")
    assert result.return_value == LEAK
    assert result.stdout.startswith("LEAK: ")
    assert result.stdout.splitlines()[0].endswith("(leaky)")


def test_json_of_a_leak_says_what_the_text_says(folder: Path) -> None:
    result = graph("leaky.py", "--n", "16", "--causal", "--json")
    found = json.loads(result.stdout)
    assert result.return_value == LEAK
    assert (found["causal_asked"], found["causal_found"], found["pairs"]) == (True, False, 256)
    assert found["leak"]["layers"][0]["edges"] == 15


def test_the_page_leads_with_the_leak(folder: Path) -> None:
    assert attnprof("graph", "leaky.py", "--n", "16", "--causal", "--out", "run", cwd=folder).code == LEAK
    page = (folder / "run" / "report.html").read_text()
    assert page.index("LEAK: causal was asked for") < page.index('class="conditions"')
    assert "bidirectional" not in page


def test_a_draw_is_told_as_a_draw(folder: Path) -> None:
    text = graph("drawn.py", "--n", "64", "--seeds", "30").stdout
    assert re.search(r"\d+ layers, each drawn anew at random \(seed 0\): all that follows is of this draw", text)
    assert "random data" not in text
    assert "30 seeds (seeds 0 to 29)" in text
    assert "[95% interval of the median]" in text
    assert "never meet" not in text
    assert "(no interval from fewer than 6 draws)" in graph("drawn.py", "--n", "64", "--seeds", "3").stdout


@pytest.mark.parametrize("name", ["dsa", "moba", "nsa"])
def test_a_selection_of_everything_is_said_to_be_one(folder: Path, name: str) -> None:
    """At n = 1,024: 2,048 of 1,024 tokens, 3 of 2 blocks, 16 x 64 of 1,024."""
    text = graph(name, "--n", "1k", "--seeds", "0", "--layers", "1").stdout
    assert "the selection is the whole sequence: at n = 1,024 every query reads all it may" in text
    assert ("topk is 1,024 here, not 2,048: n is 1,024" in text) == (name == "dsa")
    page = CliRunner().invoke(cli, ["graph", name, "--n", "1k", "--seeds", "0", "--layers", "1", "--out", "run"])
    assert page.exit_code == 0
    assert "The selection is the whole sequence" in (folder / "run" / "report.html").read_text()


def test_a_sampled_share_is_printed_with_its_interval(folder: Path) -> None:
    text = graph("sliding_window", "--n", "2k", "--set", "window=8", "--engine", "sampled", "--layers", "3").stdout
    assert re.search(r"L1 \d\.\d\d%  L2 \d\.\d\d% \[\d\.\d\d%, \d\.\d\d%\]", text)
    assert "[sampled]" in text
    assert "at least 3: 1,024 tokens were looked at, not all 2,048" in text


def test_who_waits_is_told_how_long(monkeypatch: pytest.MonkeyPatch) -> None:
    times, heard = iter([0.0, 1.0, 5.0]), []
    monkeypatch.setattr("attnprof.cli.graph.time.perf_counter", lambda: next(times))
    tell = progress("x", heard.append)
    tell("seed", 0, 100)  # starts the clock
    tell("seed", 5, 100)
    tell("seed", 10, 100)
    assert heard == ["x: seed 10 of 100, about 45 s left"]
