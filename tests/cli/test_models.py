"""`cost`, `limit` and `audit --frameworks` of whole models as a user runs them: JSON, text, refusals, time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.console import attnprof


def test_cost_answers_with_integers_by_group_and_in_total() -> None:
    run = attnprof("cost", "hf:gpt_oss_20b", "--lengths", "8k", "--json")
    assert run.code == 0, run.err
    data = run.data
    assert data["params"]["total"] == 20_914_757_184
    assert [(group["kind"], group["count"]) for group in data["groups"]] == [("window 128", 12), ("full", 12)]
    prefill, train, decode = data["flops"]
    assert (prefill["pass"], train["pass"], decode["pass"]) == ("prefill", "train", "decode")
    assert prefill["total"]["core_flops_useful"] == 6_802_435_473_408
    assert train["total"]["flops_active"] == 3 * prefill["total"]["flops_active"]
    assert decode["total"]["core_flops_useful"] == 1_635_975_168
    for entry in data["flops"]:
        for figure in ("proj_flops", "core_flops_useful", "ffn_flops_active", "core_flops_executed"):
            assert entry["total"][figure] == sum(group[figure] for group in entry["groups"])
    caches = data["caches"][0]
    assert caches["total"]["kv_bytes"] == 204_447_744
    assert set(caches["engines"]) == {"vllm", "sglang", "llamacpp", "transformers", "tensorrt_llm"}
    assert all(engine["assumptions"] or engine["why"] for engine in caches["engines"].values())
    assert data["crossover"]["core_over_ffn"] == 48_389
    assert data["certificate"] is None


def test_cost_says_what_it_found_in_words() -> None:
    run = attnprof("cost", "hf:gemma3_27b", "--lengths", "8k", "--pass", "forward", "--kv-dtype", "fp8", "--tp", "2")
    assert run.code == 0, run.err
    for piece in (
        "62 layers: 52 window 1024, 10 full",
        "everything after layer 6",
        "was not checked",
        "fp8",
        "514,327",
    ):
        assert piece in run.out, piece


def test_drafts_are_a_step_of_several_tokens() -> None:
    run = attnprof("cost", "hf:gpt_oss_20b", "--lengths", "8k", "--pass", "decode", "--drafts", "4", "--json")
    entry = run.data["flops"][0]
    assert entry["q"] == 4
    assert entry["per_token"]["proj_flops"] * 4 == entry["total"]["proj_flops"]


def test_an_encoder_reads_both_ways_and_takes_no_step() -> None:
    run = attnprof("cost", "hf:modernbert", "--lengths", "512", "--json")
    assert run.code == 0, run.err
    assert [entry["pass"] for entry in run.data["flops"]] == ["prefill", "train"]
    assert [(group["kind"], group["count"]) for group in run.data["groups"]] == [
        ("full", 1),
        ("window ±64", 14),
        ("full", 7),
    ]
    pair = 4 * 768  # 2·h·(d + d_v)
    local = 512 * 129 - 64 * 65
    assert run.data["flops"][0]["total"]["core_flops_useful"] == pair * (8 * 512 * 512 + 14 * local)
    assert run.data["caches"][0]["total"]["bytes"] == 0
    for arguments in (("cost", "hf:bert", "--pass", "decode"), ("audit", "hf:bert", "--frameworks")):
        refused = attnprof(*arguments)
        assert refused.code == 1
        assert "both ways" in refused.err or "no decoding step" in refused.err


def test_limit_answers_what_fits() -> None:
    run = attnprof("limit", "hf:gpt_oss_20b", "--memory", "80GiB", "--lengths", "8k,128k", "--card", "h100", "--json")
    assert run.code == 0, run.err
    assert run.data["limit"]["n_max"]["decode"] == 1_793_079
    assert run.data["limit"]["concurrency"] == {"8192": 215, "131072": 13}
    assert {bound["limited_by"] for bound in run.data["decode_bounds"]} == {"bytes"}
    text = attnprof("limit", "hf:gpt_oss_20b", "--memory", "h100")
    assert "bounds, no predictions" in text.out
    refused = attnprof("limit", "hf:deepseek_v3", "--memory", "h100")
    assert refused.code == 1
    assert "--weights-dtype fp8" in refused.err


def test_audit_of_frameworks_gives_ratios_and_reasons() -> None:
    run = attnprof("audit", "hf:gpt_oss_20b", "--frameworks", "--lengths", "8k,128k", "--json")
    assert run.code == 0, run.err
    rows = {row["name"]: row for row in run.data["lengths"][1]["frameworks"]}
    assert round(rows["torchtitan"]["core_ratio"], 2) == 3.99
    assert all(row["commit"] and row["line"] for row in rows.values())
    text = attnprof("audit", "hf:gpt_oss_20b", "--frameworks", "--lengths", "8k")
    assert "no attention core at all" in text.out


@pytest.mark.parametrize(
    ("arguments", "pieces"),
    [
        (("cost", "hf:gpt_oss_20b", "flash"), ("whole model", "two commands")),
        (("cost", "hf:gpt_oss_20b", "--heads", "4"), ("--heads says nothing of a whole model", "KEY=VALUE")),
        (("cost", "hf:gpt_oss_20b", "--kv-dtype", "fp9"), ("unknown precision 'fp9'", "fp8")),
        (("audit", "flash", "--frameworks"), ("--frameworks is of a whole model", "hf:")),
        (("sweep", "hf:gpt_oss_20b"), ("hf:gpt_oss_20b", "attnprof cost")),
        (("graph", "hf:jamba", "--n", "64"), ("mamba1", "no scheme")),
    ],
)
def test_what_cannot_be_is_refused_with_what_can(
    arguments: tuple[str, ...], pieces: tuple[str, ...], tmp_path: Path
) -> None:
    run = attnprof(*arguments, cwd=tmp_path) if arguments[0] == "sweep" else attnprof(*arguments)
    assert run.code != 0
    assert all(piece in run.err for piece in pieces), run.err


def test_nothing_heavy_is_loaded_and_nothing_is_allocated() -> None:
    """40 models at 12 lengths, the largest of 1 T parameters: a hundred megabytes, no torch."""
    code = """
import pathlib, sys
from attnprof.models.lookup import model_named, public_models
from attnprof.plan.model_cost import ModelAsk, cost_of_model
lengths = tuple(1 << k for k in range(9, 21))
names = list(public_models())[:40]
for name in names:
    cost_of_model(model_named(f"hf:{name}"), ModelAsk(lengths=lengths))
peak = next(line for line in pathlib.Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(len(names), "torch" in sys.modules, int(peak.split()[1]) // 1024)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    count, torch, megabytes = run.stdout.split()
    assert (count, torch) == ("40", "False")
    assert int(megabytes) < 300
