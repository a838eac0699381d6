from __future__ import annotations

import json
import re
import shlex
import time
from pathlib import Path

import networkx
import numpy as np
import pytest
from click.testing import CliRunner, Result

from attnprof.cli.main import cli
from attnprof.errors import AttnprofError
from attnprof.graph.export import save_csr
from attnprof.graph.ladder import ENGINES
from attnprof.pattern import Band
from attnprof.store import RunFolder
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
    assert "67,486 in one head, as in all 8" in result.stdout
    assert "closed form agrees" in result.stdout
    assert "░" in result.stdout
    next_one = "attnprof graph longformer --set longformer.window=64 --n 1k --without-globals"
    assert f"next: {next_one}" in result.stderr
    (record,) = RunFolder.open(folder / "out").records()
    assert (record.kind, record.point.target, record.point.shape.n) == ("graph", "longformer", 1024)
    assert record.metrics is not None
    assert len(record.metrics["image"]) == 64
    page = (folder / "out" / "report.html").read_text()
    assert "http" not in re.sub(r"https?://www\.w3\.org\S*", "", page)
    assert page.count("data:image/png") >= 5


def test_json_has_the_keys_that_others_rely_on(folder: Path) -> None:
    found = facts("bigbird", "--n", "1k", "--set", "block=16", "--seeds", "4")
    assert found["schema_version"] == 2
    assert found["edges"] == found["edges_closed_form"]["value"] == 159_232
    assert found["reach"][-1] == found["reach"][-1] | {"layer": 2, "min": 1024, "max": 1024, "share": 1.0}
    variant = found["random"]["window + random"]
    assert variant["seeds"] == 4
    assert {"layer", "p", "low", "high"} == set(variant["p_full_by_layer"][0])
    assert (variant["kept"], variant["drawn"]) == (True, True)
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
        (["user.py:near", "--n", "64k"], "up to n = 32768", "pattern file"),
        (["nothing.npz"], "no such file", "CSR"),
    ],
)
def test_what_cannot_be_done_says_what_can(folder: Path, args: list[str], message: str, hint: str) -> None:
    with pytest.raises(AttnprofError) as error:
        graph(*args, "--no-page")
    assert message in error.value.message
    assert hint in error.value.hint


def test_the_same_input_gives_the_same_page(folder: Path) -> None:
    from attnprof.graph.analysis import Request, analyze
    from attnprof.render.graph_page import graph_page
    from attnprof.targets.door import find

    def page() -> str:
        analysis = analyze(find("poolingformer"), Request(n=128, seeds=2))
        return graph_page([(analysis.facts, analysis.views())], {"command": "x"})

    assert page() == page()


def test_64k_tokens_are_a_matter_of_seconds(folder: Path) -> None:
    began = time.process_time()
    graph("longformer", "--n", "64k", "--set", "global_tokens=4", "--out", "big")
    assert time.process_time() - began < 4.0


FOLLOWED = [
    *[
        [name, "--n", "64"]
        for name in ("nsa", "poolingformer", "linformer", "sliding_window", "retnet", "dense", "star")
    ],
    ["mine.py", "--n", "64", "--set", "window=2"],
    ["hub.py", "--n", "64", "--set", "tokens=2"],
    ["user.py:near", "--n", "64"],
    ["user.py:Leaky", "--n", "32", "--causal", "--arg", "at=5"],
    ["mask.npz"],
    ["longformer", "sliding_window", "--n", "64", "--set", "sliding_window.window=8"],
    ["bigbird", "--n", "96", "--set", "block=8", "--seeds", "0"],
    ["star", "--n", "1"],
]


@pytest.mark.parametrize("args", FOLLOWED, ids=" ".join)
def test_the_next_command_is_one_that_works(folder: Path, args: list[str]) -> None:
    """It is run: a graph as it stands, a sweep as far as its plan. `hub.py` has no global token unless it is told."""
    (folder / "hub.py").write_text(
        "from attnprof.pattern import Band, Global\n\n"
        "def pattern(n, *, tokens=0):\n    return Band(2, 2) | Global(tokens) if tokens else Band(2, 2)\n"
    )
    save_csr(Band(3, 3).slices(48), folder / "mask.npz")
    told = graph(*args, "--no-page").stderr
    words = shlex.split(told[told.index("next: attnprof ") :].split("\n")[0])[2:]
    extra = {"sweep": ["--dry-run"], "graph": ["--no-page", "--seeds", "1"], "show": []}[words[0]]
    assert CliRunner().invoke(cli, [*words, *extra], catch_exceptions=False).exit_code == 0


def test_layers_of_two_kinds_are_two_rows(folder: Path) -> None:
    """sparse_strided of 64 tokens, stride 8: 9 * 64 - 36 = 540 edges in the window, 36 * 8 = 288 in the strides."""
    text = graph("sparse_strided", "--n", "64", "--set", "combine=alternate", "--no-page").stdout
    assert re.search(r"edges +414 in one head, mean over all layers", text)
    assert re.search(r"layer 1 +540 in one head, as in all 8", text)
    assert re.search(r"layer 2 +288 in one head, as in all 8", text)
    assert "(layer 1 of 2, 8 heads united)" in text


@pytest.mark.parametrize(
    ("args", "edges", "of"),
    [
        ([], 708, "2 layers united, 8 heads united"),
        (["--csr-layer", "1"], 540, "layer 1 of 2, 8 heads united"),
        (["--csr-layer", "2", "--csr-head", "3"], 288, "layer 2 of 2, head 3 of 8"),
    ],
)
def test_a_csr_says_what_it_is_of(folder: Path, args: list[str], edges: int, of: str) -> None:
    """Window 540, strides 288; both have the diagonal (64) and the lag of 8 (56): together 708."""
    call = ["sparse_strided", "--n", "64", "--set", "combine=alternate", "--no-page", "--csr", "mask.npz", *args]
    assert f"{edges} edges of sparse_strided at n = 64: {of}" in " ".join(graph(*call).stderr.split())
    with np.load(folder / "mask.npz") as held:
        assert (len(held["indices"]), str(held["of"])) == (edges, f"sparse_strided at n = 64: {of}")
    told = facts(*call)["csr"]
    assert told == {"path": "mask.npz", "edges": edges, "of": f"sparse_strided at n = 64: {of}"}


def test_a_small_graph_goes_out_for_other_tools(folder: Path) -> None:
    files = ["--graphml", "g.graphml", "--gexf", "g.gexf"]
    told = facts("sliding_window", "--n", "32", "--set", "window=8", "--no-page", *files)
    assert told["graphml"] == {"path": "g.graphml", "edges": told["edges"], "of": told["gexf"]["of"]}
    assert told["csr"] is None
    assert networkx.read_graphml("g.graphml").number_of_edges() == told["edges"]


def test_a_csr_of_random_layers_is_one_draw_of_them(folder: Path) -> None:
    call = ["bigbird", "--n", "256", "--set", "block=8", "--seeds", "0", "--no-page", "--csr", "mask.npz"]
    assert "layer 1 of 12, 8 heads united, each layer is drawn anew" in " ".join(graph(*call).stderr.split())


@pytest.mark.parametrize(
    ("args", "message", "hint"),
    [
        (["linformer", "--csr", "e.npz"], "tokens meet in slots", "leave --csr out"),
        (["memory_compressed", "--csr", "e.npz"], "in layer 2 of memory_compressed tokens meet", "--csr-layer 1"),
        (["retnet", "--csr", "e.npz"], "is a kernel", "leave --csr out"),
        (["longformer", "--csr", "e.npz", "--csr-layer", "2"], "has no layer 2", "1 to 1"),
        (["longformer", "--csr", "e.npz", "--csr-head", "9"], "has no head 9", "1 to 8"),
        (["longformer", "--csr-head", "1"], "choose what --csr writes", "--csr edges.npz"),
        (["star", "--n", "1", "--without-globals"], "all 1 tokens of star are global", "longer --n"),
    ],
)
def test_what_a_csr_cannot_show_is_refused(folder: Path, args: list[str], message: str, hint: str) -> None:
    with pytest.raises(AttnprofError) as error:
        graph(*args, *([] if "--n" in args else ["--n", "64"]), "--no-page")
    assert message in error.value.message
    assert hint in error.value.hint


def test_hops_and_diameter_say_what_they_count(folder: Path) -> None:
    """A way through a slot is two edges of one layer, so that a diameter may pass the layers to full reach."""
    text = graph("poolingformer", "--n", "2048", "--no-page").stdout
    assert re.search(r"diameter, radius +7, 4, counted in edges, slots as nodes", text)
    assert re.search(r"hops +mean .* at most 4", text)


def test_one_is_told_from_many(folder: Path) -> None:
    (folder / "last.py").write_text(
        "from attnprof.pattern import Offsets\n\ndef pattern(n):\n    return Offsets((1,))\n"
    )
    text = graph("last.py", "--n", "8", "--no-page", "--causal", "--layers", "1").stdout
    assert "1 query reads nothing, e.g. 0" in text
    assert "1 key is never read, e.g. 7" in text
    assert "within the 1 layer asked for" in text


def test_the_page_shows_a_mask_and_a_row_for_each_kind_of_layer(folder: Path) -> None:
    graph("sparse_strided", "--n", "64", "--set", "combine=alternate", "--out", "two")
    page = (folder / "two" / "report.html").read_text()
    assert "The mask of layer 1</h3>" in page
    assert "The mask of layer 2</h3>" in page
    assert page.count("8 heads united. One pixel") == 2
    assert "Edges by layer" in page


def test_the_page_has_no_influence_where_slots_and_edges_are_weighed_by_values(folder: Path) -> None:
    graph("poolingformer", "--n", "128", "--out", "pool")
    page = (folder / "pool" / "report.html").read_text()
    assert "How much arrives is not known: slots and direct edges" in page
    assert 'class="influence"' not in page
