"""The whole of `make gpu` on a CPU at small sizes, as it will be given on a device: under a minute on 2 cores."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from attnprof.locate import PACKAGE
from tests.gpu.sheet import rows_of
from tests.gpu.step import STEPS

CHECKOUT = PACKAGE.parent
ABSENT = ("fvcore", "plotly", "submitit", "fla")
BLOCKER = f"""
from functools import partial
from importlib.machinery import PathFinder
found = PathFinder.find_spec
def find_spec(name, path=None, target=None):
    return None if name.split(".")[0] in {ABSENT!r} else found(name, path, target)
PathFinder.find_spec = partial(find_spec)
"""

pytestmark = [
    pytest.mark.slow,  # a minute and more
    pytest.mark.skipif(
        shutil.which("make") is None or not (CHECKOUT / "Makefile").exists(), reason="needs make and a checkout"
    ),
]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of a dry run where the packages that a bare machine lacks cannot be imported."""
    bare, out = tmp_path_factory.mktemp("bare"), tmp_path_factory.mktemp("out")
    (bare / "sitecustomize.py").write_text(BLOCKER)
    env = {**os.environ, "PYTHONPATH": str(bare)}
    made = f"make gpu DEVICE=cpu OUT={out} PYTHON={sys.executable}"
    run = subprocess.run(made.split(), cwd=CHECKOUT, env=env, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    return out


def summary(out: Path) -> dict[str, Any]:
    """The summary."""
    return json.loads((out / "summary.json").read_text())


def test_every_step_is_done_without_what_a_bare_machine_lacks(out: Path) -> None:
    found = summary(out)
    assert {step["step"]: (step["status"], step["why"]) for step in found["steps"]} == {
        step.name: ("done", "") for step in STEPS
    }
    assert not any(found["packages"][name] for name in ("fvcore", "plotly", "submitit", "fla"))
    by_name = {step["step"]: step for step in found["steps"]}
    assert "plotly" in by_name["3-sweep"]["absent"]
    assert "fla-core" in by_name["4-implementations"]["absent"]


def test_predictions_hold_on_the_host(out: Path) -> None:
    rows = [row for row in rows_of(out / "2-truth") if row["kind"] == "bytes"]
    assert len(rows) == 10
    assert [row for row in rows if abs(row["peak_off"]) > 0.001 or abs(row["saved_off"] or 0) > 0.001] == []


def test_times_have_a_floor_and_ways_agree(out: Path) -> None:
    """Peaks that are measured while a host is busy are no roof, so that nothing is asked of the times here."""
    times = [row for row in rows_of(out / "2-truth") if row["kind"] == "time"]
    assert len(times) == 5
    assert all(row["floor_s"] > 0 and row["theirs_s"] > 0 and row["ours_s"] > 0 for row in times)
    ways = rows_of(out / "4-implementations")
    ran = {(row["scheme"], row["way"]) for row in ways if "median" in row}
    assert ran >= {("longformer", "gather"), ("bigbird", "masked"), ("dense", "sdpa flash"), ("linear", "ours")}
    assert max(row["off"] for row in ways if row.get("off") is not None) < 1e-5
    assert all("median" in row or row["why"] for row in ways)


def test_a_token_is_timed_against_its_state(out: Path) -> None:
    """At n = 64: k and v of two heads of width 32 in float32."""
    rows = {row["target"]: row for row in rows_of(out / "5-decode")}
    assert rows["dense"]["state_bytes"] == 2 * 2 * 64 * 32 * 4
    assert rows["dense"]["state_growth_bytes"] == 2 * 2 * 32 * 4
    assert all(row["median"] > 0 for row in rows.values())


def test_the_page_the_tables_and_the_archive_are_there(out: Path) -> None:
    assert "<html" in (out / "3-sweep" / "report.html").read_text()
    text = (out / "tables.md").read_text()
    assert "| sliding_window | float32 |" in text
    assert "| longformer | forward | 256 | gather |" in text
    archive = out / "attnprof-gpu.tar.gz"
    assert archive.stat().st_size < 16 * 10**6
    with tarfile.open(archive) as tar:
        names = {name.removeprefix("attnprof-gpu/") for name in tar.getnames()}
    assert {"tables.md", "summary.json", "3-sweep/report.html"} <= names
    assert {f"{step.name}/result.json" for step in STEPS} <= names
