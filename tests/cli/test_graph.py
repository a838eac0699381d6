from __future__ import annotations

import json
import re
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner, Result

from attnprof.cli.graph import _next
from attnprof.cli.main import cli
from attnprof.errors import AttnprofError
from attnprof.graph.ladder import ENGINES
from attnprof.store import Run
from attnprof.words import EngineName

MODULE = """
import torch
from torch import nn

class Leaky(nn.Module):
    def __init__(self, dim, heads, at=3):
        super().__init__()
        self.out = nn.Linear(dim, dim)
        self.at = at

    def forward(self, x):
        n = x.shape[1]
        weights = torch.tril(torch.ones(n, n, dtype=x.dtype))
        weights[self.at] = 1.0
        return self.out(weights / weights.sum(-1, keepdim=True) @ x)

def near(b, h, q_idx, kv_idx):
    return (q_idx - kv_idx).abs() <= 2
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "user.py").write_text(MODULE)
    (tmp_path / "mine.py").write_text(
        "from attnprof.pattern import Band\n\ndef pattern(n, *, window=4):\n    return Band(window, window)\n"
    )
    return tmp_path


def graph(*args: str) -> Result:
    return CliRunner().invoke(cli, ["graph", *args], catch_exceptions=False)


def facts(*args: str) -> dict:
    result = graph(*args, "--json", "--no-page")
    assert result.exit_code == 0
    return json.loads(result.stdout)


def test_the_engines_offered_are_those_there_are() -> None:
    assert set(EngineName) == {EngineName.AUTO, *(engine.name for engine in ENGINES)}


def test_longformer_reads_as_a_summary_and_leaves_a_record_and_a_page(folder: Path) -> None:
    result = graph("longformer", "--n", "1k", "--set", "window=64", "--out", "out")
    assert result.exit_code == 0
    assert "layers to full reach   2" in result.stdout
    assert "67,486 in one head" in result.stdout
    assert "closed form agrees" in result.stdout
    assert "░" in result.stdout
    assert "next: attnprof graph longformer --without-globals" in result.stderr
    (record,) = Run.open(folder / "out").records()
    assert (record.kind, record.point.target, record.point.shape.n) == ("graph", "longformer", 1024)
    assert record.metrics is not None
    assert len(record.metrics["image"]) == 64
    page = (folder / "out" / "report.html").read_text()
    assert "http" not in re.sub(r"https?://www\.w3\.org\S*", "", page)
    assert page.count("data:image/png") >= 5


def test_json_has_the_keys_that_others_rely_on(folder: Path) -> None:
    found = facts("bigbird", "--n", "1k", "--set", "block=16", "--seeds", "4")
    assert found["schema_version"] == 1
    assert found["edges"] == found["edges_closed_form"]["value"] == 159_232
    assert found["reach"][-1] == found["reach"][-1] | {"layer": 2, "min": 1024, "max": 1024, "share": 1.0}
    variant = found["random"]["window + random"]
    assert variant["seeds"] == 4
    assert {"layer", "p", "low", "high"} == set(variant["p_full_by_layer"][0])
    assert set(found["random"]) >= {"random only", "window only", "window + random", "window + random + globals"}


def test_the_ablation_is_printed_with_what_it_does_and_does_not_say(folder: Path) -> None:
    text = graph("bigbird", "--n", "1k", "--seeds", "3", "--no-page").stdout
    assert "window + random, 8 heads" in text
    assert "A block that nobody reads is out of reach at any depth" in text


def test_targets_stand_side_by_side(folder: Path) -> None:
    text = graph("longformer", "sliding_window", "linformer", "--n", "512", "--no-page").stdout
    table = text[text.index("side by side") :]
    assert "edges/pair" in table
    assert all(name in table for name in ("longformer", "sliding_window", "linformer"))


@pytest.mark.parametrize("target", ["mine.py", "user.py:near"])
def test_a_users_pattern_and_mask_mod_are_graphed(folder: Path, target: str) -> None:
    found = facts(target, "--n", "100")
    assert found["components"] == 1
    assert found["layers_to_full"] == (25 if target == "mine.py" else 50)


def test_a_csr_goes_out_and_comes_back(folder: Path) -> None:
    graph("sliding_window", "--n", "64", "--set", "window=8", "--csr", "mask.npz", "--no-page")
    assert set(np.load(folder / "mask.npz").files) >= {"indptr", "indices"}
    assert facts("mask.npz")["edges"] == facts("sliding_window", "--n", "64", "--set", "window=8")["edges"]


def test_a_module_is_recovered_and_its_leak_named(folder: Path) -> None:
    found = facts("user.py:Leaky", "--n", "32", "--causal", "--arg", "at=5")
    assert found["probe"]["value_edges"] == 32 * 33 // 2 + 26
    assert any("leak of the future by value: 26 pairs, first 5 reads 6" in line for line in found["probe"]["findings"])
    against = facts("user.py:Leaky", "--n", "32", "--causal", "--arg", "at=0", "--against", "dense")
    assert any("31 edges seen but not declared" in line for line in against["probe"]["findings"])


def test_globals_can_be_taken_out(folder: Path) -> None:
    found = facts("longformer", "--n", "256", "--set", "window=16", "--without-globals")
    assert found["globals_removed"] == 1
    assert found["layers_to_full"] == 32


def test_an_engine_can_be_forced_and_is_named(folder: Path) -> None:
    one, other = (facts("sparse_strided", "--n", "256", "--engine", name) for name in ("slices", "toeplitz"))
    assert (one["engine"], other["engine"]) == ("slices", "toeplitz")
    assert one["hop_histogram"] == other["hop_histogram"]


@pytest.mark.parametrize(
    ("args", "message", "hint"),
    [
        (["longfomer"], "unknown scheme 'longfomer'", "longformer"),
        (["sliding_window", "--without-globals"], "no global tokens", "leave the option out"),
        (["longformer", "--n", "64", "--engine", "toeplitz"], "does not understand", "slices"),
        (["user.py:near", "--n", "64k"], "up to n = 16384", "pattern file"),
        (["nothing.npz"], "no such file", "CSR"),
    ],
)
def test_what_cannot_be_done_says_what_can(folder: Path, args: list[str], message: str, hint: str) -> None:
    with pytest.raises(AttnprofError) as error:
        graph(*args, "--no-page")
    assert message in error.value.message
    assert hint in error.value.hint


def test_the_same_input_gives_the_same_page(folder: Path) -> None:
    from attnprof.catalog import find
    from attnprof.graph.analysis import Request, analyze
    from attnprof.render.graph_page import graph_page

    def page() -> str:
        analysis = analyze(find("poolingformer"), Request(n=128, seeds=2))
        return graph_page([(analysis.facts, analysis.views())], {"command": "x"})

    assert page() == page()


def test_64k_tokens_are_a_matter_of_seconds(folder: Path) -> None:
    began = time.process_time()
    graph("longformer", "--n", "64k", "--set", "global_tokens=4", "--out", "big")
    assert time.process_time() - began < 4.0


@pytest.mark.parametrize(
    ("name", "command"), [("nsa", "attnprof graph nsa --csr"), ("sliding_window", "attnprof sweep sliding_window")]
)
def test_the_next_command_is_one_that_works(name: str, command: str) -> None:

    found = SimpleNamespace(facts={"hubs": 0, "globals_removed": 0})
    assert _next([found], name).startswith(command)
