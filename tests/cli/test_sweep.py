"""`attnprof sweep`, end to end with real children at small sizes."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from attnprof.render.claims.first import first_claims
from attnprof.store import RunFolder
from tests.cli.console import ENV, attnprof, command, here

OWN_PATTERN = """
from attnprof.pattern import Band, Global


def pattern(n, *, width=8):
    return Band(width, width) | Global(2)
"""
TINY = ("--dim", "32", "--time-budget", "0.05", "--rounds", "1")
SMALL = (*TINY, "--heads", "2")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A finished sweep of two schemes, and what it said on standard error."""
    out = tmp_path_factory.mktemp("sweep") / "run"
    done = here("sweep", "dense", "sliding_window", "--lengths", "64,128", "--out", out, *SMALL)
    assert done.code == 0, done.err
    return out, done.err


def test_a_sweep_leaves_records_and_a_page(run: tuple[Path, str]) -> None:
    out, said = run
    assert {"run.json", "report.html"} <= {path.name for path in out.iterdir()}
    every = RunFolder.open(out).records()
    records = [r for r in every if r.kind == "cost"]
    assert len(records) == 8
    assert [(r.point.target, r.metrics and r.metrics["layers_to_full"]) for r in every if r.kind == "graph"] == [
        ("dense", 1),
        ("sliding_window", 1),
    ]
    assert {r.status for r in records} == {"ok"}
    assert all(r.cost and r.cost.flops_executed and r.measured and r.measured.wall_s for r in records)
    assert f"page: {out / 'report.html'}" in said
    assert "ETA" in said
    claims = first_claims(every)
    assert [claim.split(",")[:2] for claim in claims[:2]] == [["At n = 128", " forward"], ["At n = 128", " train"]]
    assert [line for line in said.splitlines() if line in claims] == claims
    assert said.splitlines()[0] == "planning dense, sliding_window"


def test_the_header_says_how_to_do_it_again(run: tuple[Path, str]) -> None:
    header = RunFolder.open(run[0]).header
    assert header["command"].startswith("attnprof sweep dense sliding_window --lengths 64,128")
    assert header["environment"]["cores_usable"] >= 1
    assert header["calibration"]["matmul_flops_per_s"] > 0
    assert [set(one) >= {"matmul_flops_per_s", "copy_bytes_per_s"} for one in header["yardsticks"]] == [True]


def test_the_same_command_measures_nothing_again(run: tuple[Path, str]) -> None:
    out, _ = run
    before = [path.read_bytes() for path in sorted(out.glob("records-*.jsonl"))]
    again = here("sweep", "dense", "sliding_window", "--lengths", "64,128", "--out", out, *SMALL, "--json")
    assert again.code == 0
    assert "resuming: 8 of 8 points are done" in again.err
    assert len(again.data["records"]) == 8
    assert [path.read_bytes() for path in sorted(out.glob("records-*.jsonl"))] == before


def test_another_sweep_is_not_written_over_a_run(run: tuple[Path, str]) -> None:
    refused = here("sweep", "dense", "--lengths", "64", "--out", run[0], *SMALL, "--batch", "2")
    assert refused.code == 1
    assert "another sweep: it differs in shape" in refused.err
    assert "--fresh" in refused.err
    assert "Traceback" not in refused.err


def test_fresh_opens_a_new_folder_and_deletes_nothing(run: tuple[Path, str]) -> None:
    out, _ = run
    ask = ("sweep", "dense", "--lengths", "64", "--device", "none", "--no-page", "--json", *SMALL)
    first = here(*ask, "--out", out.parent / "other").data["run"]
    second = here(*ask, "--out", out.parent / "other", "--fresh").data["run"]
    assert (first, second) == (str(out.parent / "other"), str(out.parent / "other-fresh1"))
    assert len(RunFolder.open(first).records()) == len(RunFolder.open(second).records()) == 2


def test_a_kill_at_any_moment_loses_nothing_that_was_finished(tmp_path: Path) -> None:
    out = tmp_path / "run"
    ask = ("sweep", "dense", "sliding_window", "--lengths", "64,128,256", "--out", out, "--no-page", *SMALL)
    process = subprocess.Popen(command(*ask), env=ENV, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while lines(out) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    kept = {r.key: r for r in RunFolder.open(out).records()}
    assert 3 <= len(kept) < 12
    assert not [p for p in psutil.process_iter(["cmdline"]) if str(out) in " ".join(p.info["cmdline"] or ())]
    shard = next(out.glob("records-*.jsonl"))
    shard.write_bytes(shard.read_bytes() + b'{"schema_version": 1, "torn')
    resumed = attnprof(*ask, "--json")
    assert resumed.code == 0, resumed.err
    assert "torn last line" in resumed.err
    assert f"resuming: {len(kept)} of 12 points are done" in resumed.err
    after = {r.key: r for r in RunFolder.open(out).records()}
    assert len(after) == 12
    assert all(after[key] == record for key, record in kept.items())


def test_an_interrupt_leaves_a_page_and_the_same_command_goes_on(tmp_path: Path) -> None:
    out = tmp_path / "a [b] c"
    ask = ("sweep", "dense", "sliding_window", "--lengths", "64,128,256", "--out", out, *SMALL)
    process = subprocess.Popen(command(*ask), env=ENV, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    deadline = time.monotonic() + 120
    while lines(out) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert (out / "report.html").is_file()
    assert f"page: {out / 'report.html'}" in said
    assert f"--out '{out}'" in said.splitlines()[-1]
    assert len(RunFolder.open(out).records()) >= 12


def test_another_environment_is_not_mixed_in_and_a_run_grows(tmp_path: Path) -> None:
    ask = ("sweep", "dense", "--out", tmp_path / "r", "--pass", "forward", "--no-page", "--json", *SMALL)
    assert here(*ask, "--lengths", "64").code == 0
    grown = here(*ask, "--lengths", "64,96")
    assert [r["point"]["n"] for r in grown.data["records"]] == [64, 64, 96, 96][::2] or grown.code == 0
    assert "done" in grown.err
    other = subprocess.run(
        command(*ask, "--lengths", "64,96"), env={**ENV, "MKL_DYNAMIC": "FALSE"}, capture_output=True, text=True
    )
    assert other.returncode == 1
    assert "begun in another environment: settings" in other.stderr
    assert "--fresh" in other.stderr


NASTY = """
import os, sys
print("hello on stdout at import")
import torch


class Raises(torch.nn.Module):
    def forward(self, x):
        raise RuntimeError("backward [/boom] of [b, n, d]")


class Fine(torch.nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.a = torch.nn.Linear(dim, dim)

    def forward(self, x):
        return self.a(x)
"""


def test_what_a_users_file_does_stays_in_its_child(tmp_path: Path) -> None:
    own = tmp_path / "nasty.py"
    own.write_text(NASTY)
    ask = ("sweep", "--lengths", "64,128,256", "--no-page", "--json", "--pass", "forward", *TINY)
    done = attnprof(*ask, f"{own}:Fine", f"{own}:Raises", "--out", tmp_path / "r")
    assert done.code == 3, done.err
    by = {(r["point"]["target"], r["point"]["n"]): r for r in done.data["records"]}
    assert {n: r["status"] for (target, n), r in by.items() if target == "Fine"} == {64: "ok", 128: "ok", 256: "ok"}
    assert "[/boom] of [b, n, d]" in done.err
    own.write_text("import sys\nsys.exit(0)\n")
    ended = here(*ask, f"{own}:Fine", "--out", tmp_path / "s")
    assert (ended.code, ended.out) == (1, "")
    assert "error: " in ended.err
    own.write_text("import time\ntime.sleep(600)\n")
    ended = here(*ask, f"{own}:Fine", "--out", tmp_path / "t", "--timeout", "2s")
    assert ended.code == 1
    assert "no answer within 2 s" in ended.err


def lines(out: Path) -> int:
    """Finished records of a run that may not exist yet."""
    return sum(path.read_bytes().count(b"\n") for path in out.glob("records-*.jsonl"))


def test_counting_alone_needs_no_device_and_no_page(tmp_path: Path) -> None:
    done = here(
        "sweep", "longformer", "--lengths", "1k-64k", "--device", "none", "--out", tmp_path / "r", "--no-page", "--json"
    )
    assert done.code == 0, done.err
    records = done.data["records"]
    assert [r["point"]["n"] for r in records[::2]] == [1024 << k for k in range(7)]
    assert all(r["measured"] is None and r["cost"]["flops_executed"] > 0 for r in records)


def test_a_dry_run_starts_nothing(tmp_path: Path) -> None:
    done = here("sweep", "dense", "--lengths", "1k-4k", "--dry-run", "--json", "--out", tmp_path / "r")
    assert [p["n"] for p in done.data["points"]] == [1024, 1024, 2048, 2048, 4096, 4096]
    assert not (tmp_path / "r").exists()


def test_an_own_pattern_is_a_target_like_any_other(tmp_path: Path) -> None:
    own = tmp_path / "mine.py"
    own.write_text(OWN_PATTERN)
    done = here("sweep", own, "--lengths", "64", "--out", tmp_path / "r", "--set", "width=4", "--json", *SMALL)
    assert done.code == 0, done.err
    assert {r["status"] for r in done.data["records"]} == {"ok"}
    assert done.data["records"][0]["point"]["params"] == {"width": 4}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("longformr", "--lengths", "1k"), "did you mean longformer"),
        (("dense", "--lengths", "1q"), "cannot read the lengths"),
        (("dense", "--lengths", "4k-1k"), "write 1k-4k"),
        (("dense", "--lengths", "1k", "--heads", "7"), "do not divide the width"),
        (("dense", "--lengths", "1k", "--batch", "0"), "at least 1"),
        (("dense", "--lengths", "1k", "--device", "tpu"), "unknown device"),
        (("longformer", "--lengths", "1k", "--set", "windw=4"), "did you mean window"),
        (("dense", "--lengths", "1k", "--out", "/proc/none"), "cannot write to"),
        (("nowhere.py:Class", "--lengths", "1k"), "no such file"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_unusable_input_is_one_clear_message(arguments: tuple[str, ...], message: str) -> None:
    refused = here("sweep", *arguments)
    assert refused.code == 1
    assert message in refused.err
    assert "hint:" in refused.err
    assert "Traceback" not in refused.err
    assert refused.out == ""
