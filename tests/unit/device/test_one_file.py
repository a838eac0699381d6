"""One file adds an accelerator, and one file names it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from attnprof.locate import PACKAGE

TOY = Path(__file__).parents[2] / "fakes" / "toy.py"
OWNER = PACKAGE / "device" / "cuda.py"


@pytest.fixture(scope="module")
def with_toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the package has one file more; every other is the original."""
    folder = tmp_path_factory.mktemp("package")
    room = folder / "attnprof" / "device"
    room.mkdir(parents=True)
    for place in (PACKAGE, PACKAGE / "device"):
        for file in place.iterdir():
            if file.name not in ("device", "__pycache__"):
                (folder / "attnprof" / file.relative_to(PACKAGE)).symlink_to(file)
    (room / "toy.py").write_text(TOY.read_text())
    return folder


def attnprof(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, "-m", "attnprof", *map(str, arguments))
    env = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True, timeout=300)


def said(folder: Path, *arguments: object) -> Any:
    done = attnprof(folder, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_it_can_be_asked_for_by_name(with_toy: Path) -> None:
    assert "cuda|toy|none" in attnprof(with_toy, "sweep", "--help").stdout
    assert said(with_toy, "doctor", "--device", "toy")["device"] == "toy"
    assert "unknown device 'toy'" in attnprof(PACKAGE.parent, "doctor", "--device", "toy").stderr


def test_doctor_lists_it_beside_the_device_asked_for(with_toy: Path) -> None:
    found = said(with_toy, "doctor", "--device", "cpu")["findings"]
    assert [(f["grade"], f["text"]) for f in found if f["subject"] == "toy"] == [("ok", "Toy 1, Toy 2")]


def test_a_sweep_measures_on_it_with_its_own_clock_and_memory(with_toy: Path) -> None:
    sizes = ("--lengths", "64", "--dim", "16", "--heads", "2", "--pass", "train", "--no-page")
    said(with_toy, "sweep", "dense", *sizes, "--device", "toy", "--rounds", "1", "--out", with_toy / "run")
    header = json.loads((with_toy / "run" / "run.json").read_text())
    environment = header["environment"]
    assert (environment["device"], environment["device_name"], environment["toy_driver"]) == ("toy", "Toy 1", "1.2")
    assert header["calibration"]["matmul_flops_per_s"] == 2 * 32**3 * 2**10
    lines = [json.loads(line) for shard in (with_toy / "run").glob("*.jsonl") for line in shard.open()]
    (point,) = (line for line in lines if line["kind"] == "cost")
    measured = point["measured"]
    assert (point["status"], point["point"]["device"], point["point"]["dtype"]) == ("ok", "toy", "float64")
    assert {s for laps in measured["wall_s"]["rounds"] for s in laps} == {2 * 2**-10}
    assert (measured["peak_bytes"], measured["reserved_bytes"]) == (12_345, 23_456)
    assert measured["method"] == "time: ticks of the toy; memory: the toy's own word"
    assert point["reasons"]["energy_j"] == "toys have no sensors"


def test_nothing_else_names_an_accelerator() -> None:
    others = (file for file in sorted(PACKAGE.rglob("*.py")) if file != OWNER)
    assert [str(file.relative_to(PACKAGE)) for file in others if "cuda" in file.read_text().lower()] == []
