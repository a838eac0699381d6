"""The pytest plugin as a user's suite has it: assertions that show their evidence, and counts that are kept."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from attnprof import golden_counts, testing
from attnprof.errors import AttnprofError
from attnprof.locate import PACKAGE

ROOT = PACKAGE.parent
PLANTED, SOUND = "tests/fakes/planted.py", "tests/fakes/sound.py"
SIZES = {"dim": 32, "heads": 2}
SUITE = """
import pytest

SIZES = {"dim": 32, "heads": 2}


def test_sound(assert_no_leak, assert_same, golden_counts):
    assert_no_leak("planted.py:Causal", 48, **SIZES)
    assert_same("planted.py:Causal", "sound.py:Again", 48, **SIZES)
    assert golden_counts("planted.py:Causal", 64, **SIZES).cost.flops_executed == FLOPS


def test_other(golden_counts):
    golden_counts("dense", 64, "train")


def test_leak(assert_no_leak):
    assert_no_leak("planted.py:BlockEdge", 48, **SIZES)
"""


def pytest_in(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A user's pytest with the plugin, which its entry point may or may not load here."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:attnprof",
        "-p",
        "attnprof.pytest_plugin",
        "-p",
        "no:cacheprovider",
        *arguments,
    ]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


def test_a_suite_keeps_its_counts_and_shows_its_leaks(tmp_path: Path) -> None:
    flops = 64 * 2 * (3 * 32 * 32 + 32 * 32) + 4 * 64**2 * 32  # projections, then scores and values
    (tmp_path / "test_mine.py").write_text(SUITE.replace("FLOPS", str(flops)))
    for name in (PLANTED, SOUND):
        (tmp_path / Path(name).name).write_text((ROOT / name).read_text())
    first = pytest_in(tmp_path, "--attnprof-update")
    assert "1 failed, 2 passed" in first.stdout
    assert "2 pairs read the future, 1 ahead, in 2 of 48 queries: 15 reads 16, 31 reads 32" in first.stdout
    golden = tmp_path / golden_counts.FILE
    assert f"flops_executed = {flops:_}" in golden.read_text()
    kept = golden_counts.read(golden)
    assert [name for name in kept if "test_other" in name] == ["test_mine.py::test_other · dense n=64 train"]
    halved = {name: {**counts, "flops_executed": flops // 2} for name, counts in kept.items() if "sound" in name}
    golden_counts.write(golden, halved)
    later = pytest_in(tmp_path, "-k", "sound or other")
    assert "no counts are kept of test_mine.py::test_other · dense n=64 train" in later.stdout
    assert f"flops_executed: {flops // 2:,} -> {flops:,} (+100.00%)" in later.stdout


def test_kept_counts_are_text_that_reads_back(tmp_path: Path) -> None:
    path = tmp_path / golden_counts.FILE
    tables = {'t.py::test["a"] · x': {"peak_bytes": 1234567, "flops_executed": 0}, "b": {"exp_ops": 3}}
    golden_counts.write(path, tables)
    assert golden_counts.read(path) == tables == tomllib.loads(path.read_text())
    assert "peak_bytes = 1_234_567" in path.read_text()
    golden_counts.update(path, "b", {"exp_ops": 4})
    assert golden_counts.changes({"exp_ops": 3, "a": 0}, golden_counts.read(path)["b"]) == [
        "a: 0 -> not known",
        "exp_ops: 3 -> 4 (+33.33%)",
    ]
    path.write_text("[broken")
    with pytest.raises(AttnprofError, match="is damaged"):
        golden_counts.read(path)


def test_the_assertions_pass_what_is_right_and_show_what_is_not() -> None:
    testing.assert_no_leak(f"{PLANTED}:Causal", 48, **SIZES)
    with pytest.raises(AssertionError, match=r"layers\.1 \(OneAhead\).*1 ahead"):
        testing.assert_no_leak(f"{PLANTED}:Inner", 48, **SIZES)
    testing.assert_pattern(f"{PLANTED}:Window", "tests/fakes/nine.py", 48, **SIZES)
    with pytest.raises(AssertionError, match="edges declared but never seen, first"):
        testing.assert_pattern(f"{PLANTED}:Window", "dense", 48, **SIZES)
    testing.assert_same(f"{SOUND}:Fused", f"{PLANTED}:Causal", 48, **SIZES)
    with pytest.raises(AssertionError, match=r"output differs by .* in 3[01] of 32 rows: 0, 1, 2"):
        testing.assert_same(f"{PLANTED}:Causal", f"{PLANTED}:OneAhead", 32, **SIZES)
    with pytest.raises(AssertionError, match=r"flops grows as n\*\*2, not n: 384\*n\*\(n \+ 64\) \(.* at 1k, .* at 4k"):
        testing.assert_scaling(f"{PLANTED}:Causal", flops="n", **SIZES)


def script() -> Path:
    return ROOT / ".github" / "actions" / "counts" / "difference.py"


@pytest.mark.skipif(not script().exists(), reason="not run from a checkout")
def test_the_action_comments_what_has_changed(tmp_path: Path) -> None:
    def answer(flops: int, peak: int | None) -> str:
        row = {"n": 1024, "pass": "forward", "flops_executed": flops, "peak_bytes": peak}
        return json.dumps({"target": "Mine", "table": [row]})

    def compared(base: str, head: str) -> tuple[int, str]:
        files = tmp_path / "base.json", tmp_path / "head.json"
        for file, text in zip(files, (base, head), strict=True):
            file.write_text(text)
        run = subprocess.run([sys.executable, script(), *files], capture_output=True, text=True, check=False)
        return run.returncode, run.stdout

    assert compared(answer(100, 5), answer(100, 5)) == (
        0,
        "<!-- attnprof counts -->\n**Counts of `Mine`**: 1 points, none has changed.\n",
    )
    code, text = compared(answer(2000, None), answer(3000, 5))
    assert code == 4
    assert "| Mine | 1,024 | forward | FLOPs | 2,000 | 3,000 | +50.00% |" in text
    assert "| Mine | 1,024 | forward | peak bytes | not known | 5 |  |" in text
    assert "| FLOPs | not there | 3,000 |" in compared("", answer(3000, 5))[1]


def action() -> dict[str, Any]:
    yaml = pytest.importorskip("yaml")
    found: dict[str, Any] = yaml.safe_load((script().parent / "action.yml").read_text())
    return found


@pytest.mark.skipif(not script().exists(), reason="not run from a checkout")
def test_the_action_keeps_to_the_syntax_of_composite_actions() -> None:
    """Every step that runs names its shell; what an expression names is an input, a step or what a runner has."""
    found = action()
    assert set(found) <= {"name", "author", "description", "inputs", "outputs", "runs", "branding"}
    assert found["runs"]["using"] == "composite"
    steps = found["runs"]["steps"]
    assert all(set(step) <= {"name", "id", "if", "shell", "env", "run", "working-directory"} for step in steps)
    assert all(step["shell"] == "bash" for step in steps)
    written = {step["id"]: set(re.findall(r'echo "(\w+)=', step["run"])) for step in steps if "id" in step}
    named = re.findall(r"\b(inputs|steps)\.([\w-]+)(?:\.outputs\.(\w+))?", json.dumps(found))
    for kind, name, output in named:
        assert name in found["inputs"] if kind == "inputs" else output in written[name]
    assert all("${{" not in step["run"] for step in steps), "an expression in a script is an injection"


COUNTS = """#!/bin/bash
if [ "$2" != attnprof ]; then exec PYTHON "$@"; fi
shift 3; printf '%s\\n' "$@" >> "$ASKED"; cat counts.json
"""


@pytest.mark.skipif(not script().exists(), reason="not run from a checkout")
def test_the_steps_of_the_action_compare_a_base_with_a_head(tmp_path: Path) -> None:
    """The scripts as a runner runs them, in a clone of a repository whose counts have changed; counting is faked."""
    origin, clone, temp = (tmp_path / name for name in ("origin", "clone", "temp"))
    temp.mkdir()

    def git(*words: str, cwd: Path) -> str:
        who = ("-c", "user.name=a", "-c", "user.email=a@b")
        return subprocess.run(["git", *who, *words], cwd=cwd, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q", str(origin), cwd=tmp_path)
    for flops in (2000, 3000):
        row = {"n": 64, "pass": "forward", "flops_executed": flops}
        (origin / "counts.json").write_text(json.dumps({"target": "Mine", "table": [row]}))
        git("add", "-A", cwd=origin)
        git("commit", "-qm", "counts", cwd=origin)
    git("clone", "-q", "--depth=1", origin.as_uri(), str(clone), cwd=tmp_path)
    fake = tmp_path / "python"
    fake.write_text(COUNTS.replace("PYTHON", sys.executable))
    fake.chmod(0o755)
    files = {name: str(tmp_path / name) for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "ASKED")}
    env = {**os.environ, **files, "PYTHON": str(fake), "SCRIPT": str(script()), "RUNNER_TEMP": str(temp)}
    env |= {"TARGETS": "mine.py:Mine\n'3 linear + 1 dense'", "OPTIONS": "--lengths 64", "PYTHONPATH": ""}
    env |= {"BASE": git("rev-parse", "HEAD~1", cwd=origin)}
    outputs: dict[str, str] = {}
    for step in action()["runs"]["steps"][:2]:
        run = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
        subprocess.run(run, cwd=clone, env={**env, "FOLDER": outputs.get("folder", "")}, check=True)
        lines = Path(files["GITHUB_OUTPUT"]).read_text().splitlines()
        outputs = dict(line.split("=", 1) for line in lines)
    assert outputs["changed"] == "true"
    assert "| Mine | 64 | forward | FLOPs | 2,000 | 3,000 | +50.00% |" in Path(outputs["comment"]).read_text()
    asked = Path(files["ASKED"]).read_text().splitlines()
    assert asked[:4] == ["mine.py:Mine", "3 linear + 1 dense", "--lengths", "64"]
    first = action()["runs"]["steps"][0]["run"]
    none = subprocess.run(
        ["bash", "-eo", "pipefail", "-c", first], env={**env, "TARGETS": ""}, capture_output=True, text=True
    )
    assert (none.returncode, none.stdout.split(":")[2]) == (1, "error")
