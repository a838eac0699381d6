"""The driver of `make gpu`: every step leaves a result, whatever happens to it and to the others."""

from __future__ import annotations

import io
import json
import sys
import tarfile
import zipfile
from pathlib import Path

import psutil
import pytest

from attnprof.locate import PACKAGE
from tests.gpu import driver, fitness
from tests.gpu.__main__ import main
from tests.gpu.archive import KEPT_SAMPLES, pack, thinned
from tests.gpu.driver import NOT_FIT, SOME_FAILED, Hour, drive
from tests.gpu.limited import run_limited
from tests.gpu.step import STEPS, Step
from tests.gpu.wheels import unpack

FIT = {"unfit": "", "environment": {"device_name": "a fake", "packages": {"torch": "2.11"}}, "packages": {}}


def fake(name: str, limit_s: float = 20.0) -> Step:
    """A step that does what its name says."""
    return Step(name, "tests.fakes.gpu_steps", f"a step that is {name}", limit_s, limit_s)


def result(out: Path, name: str) -> dict[str, object]:
    """What one step left."""
    return json.loads((out / name / "result.json").read_text())


@pytest.fixture
def anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every device is there."""
    monkeypatch.setattr(fitness, "ask", lambda *_: FIT)


@pytest.mark.usefixtures("anywhere")
def test_no_step_costs_another_its_result(tmp_path: Path) -> None:
    steps = [fake("bad"), fake("dead"), fake("late"), fake("good")]
    assert drive(Hour(steps, "cpu", tmp_path)) == SOME_FAILED
    found = {step.name: result(tmp_path, step.name) for step in steps}
    assert {name: f["status"] for name, f in found.items()} == {
        "bad": "failed", "dead": "failed", "late": "partial", "good": "done",
    }  # fmt: skip
    assert found["bad"]["why"] == "ValueError: no such thing"
    assert "exit code 7" in str(found["dead"]["why"])
    assert found["late"]["why"] == "1000 points are left out: its time was over"
    assert found["good"]["not_built"] == {"--fly": "wings"}
    assert all(f["rows"] == 1 for f in found.values())
    assert "ValueError" in (tmp_path / "bad" / "log.txt").read_text()


@pytest.mark.usefixtures("anywhere")
def test_a_step_at_its_limit_is_ended_with_all_that_it_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "GRACE_S", 0.0)
    assert drive(Hour([fake("endless", limit_s=8.0)], "cpu", tmp_path)) == SOME_FAILED
    found = result(tmp_path, "endless")
    assert found["status"] == "timeout"
    assert found["rows"] == 1
    child = int((tmp_path / "endless" / "child").read_text())
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE


def test_without_a_device_every_step_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The question is asked in earnest, of a device that no machine has by that name for torch."""
    pytest.importorskip("torch")
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a device here")
    assert drive(Hour(STEPS, "cuda", tmp_path)) == NOT_FIT
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
    for step in STEPS:
        found = result(tmp_path, step.name)
        assert found["status"] == "unfit"
        assert "CUDA" in str(found["why"])
    assert "CUDA" in (tmp_path / "tables.md").read_text()
    assert (tmp_path / "attnprof-gpu.tar.gz").stat().st_size < 10_000


@pytest.mark.usefixtures("anywhere")
def test_steps_of_an_earlier_call_stay_in_the_summary(tmp_path: Path) -> None:
    """A machine may be lent for ten minutes at a time, and the steps take half an hour."""
    drive(Hour([fake("bad")], "cpu", tmp_path))
    drive(Hour([fake("good")], "cpu", tmp_path))
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert [step["step"] for step in summary["steps"]] == ["bad", "good"]


def test_a_process_that_stops_when_asked_is_asked_first(tmp_path: Path) -> None:
    log = tmp_path / "log"
    code = "import time\ntry: time.sleep(60)\nexcept KeyboardInterrupt: print('orderly', flush=True)"
    ended = run_limited([sys.executable, "-S", "-c", code], log, 6.0, interrupt=True)
    assert ended.timed_out
    assert (ended.code, log.read_text()) == (0, "orderly\n")


def test_the_largest_samples_are_thinned_and_the_largest_files_left_before_the_archive_grows(tmp_path: Path) -> None:
    """Three files: samples that thin to nothing, noise that has to go, a result that has to stay."""
    folder = tmp_path / "results"
    folder.mkdir()
    noise = __import__("random").Random(0)
    samples = [noise.random() for _ in range(20_000)]
    (folder / "rows.jsonl").write_text(json.dumps({"wall_s": {"median": 0.5, "rounds": [samples]}}) + "\n")
    (folder / "trace.bin").write_bytes(noise.randbytes(300_000))
    (folder / "result.json").write_text("{}")
    packed = pack(folder, tmp_path / "all.tar.gz", most_bytes=20_000)
    assert packed.thinned == ["rows.jsonl"]
    assert packed.left_out == ["trace.bin"]
    data = (tmp_path / "all.tar.gz").read_bytes()
    assert len(data) == packed.size_bytes <= 20_000
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        names = {Path(name).name for name in tar.getnames()}
        rows = tar.extractfile("attnprof-gpu/rows.jsonl")
        assert rows is not None
        kept = json.loads(rows.read())["wall_s"]
    assert names == {"rows.jsonl", "result.json", "archive.json"}
    assert kept["rounds"] == [[samples[round(i * 19_999 / 4)] for i in range(KEPT_SAMPLES)]]
    assert len(json.loads((folder / "rows.jsonl").read_text())["wall_s"]["rounds"][0]) == 20_000


def test_thinning_leaves_short_lists_and_broken_lines_as_they_are() -> None:
    lines = b'{"samples": [1, 2], "x": [1, 2, 3, 4, 5, 6, 7]}\n{"samples": [1, 2'
    assert thinned(lines).splitlines() == lines.splitlines()


def wheel(folder: Path, file: str, package: str) -> None:
    """A wheel of one module."""
    with zipfile.ZipFile(folder / file, "w") as archive:
        archive.writestr(f"{package}.py", "HERE = True\n")


def test_wheels_of_missing_packages_are_used_and_of_installed_ones_left(tmp_path: Path) -> None:
    for file, package in (
        ("attnprof_never-1.0-py3-none-any.whl", "attnprof_never"),
        ("numpy-0.1-py3-none-any.whl", "numpy"),
        ("attnprof_fast-1.0-cp312-cp312-linux_x86_64.whl", "attnprof_fast"),
    ):
        wheel(tmp_path, file, package)
    unpacked = unpack(tmp_path, tmp_path / "site")
    assert [path.name for path in unpacked.folder.iterdir()] == ["attnprof_never.py"]
    used, fast, known = (unpacked.wheels[name] for name in sorted(unpacked.wheels, key=lambda n: n.split("-")[0][-1]))
    assert {used, fast, known} >= {"used", "left: it is not pure Python"}
    assert unpacked.wheels["numpy-0.1-py3-none-any.whl"].endswith("is installed")


@pytest.mark.parametrize("arguments", [["--steps", "9"], ["--wheels", "nowhere"], ["--device", "tpu"]])
def test_what_is_not_there_is_refused(arguments: list[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as refused:
        main(["--out", str(tmp_path), *arguments])
    assert refused.value.code == 2


def test_every_step_is_a_file_and_leaves_time_for_the_others() -> None:
    for step in STEPS:
        assert (PACKAGE.parent / f"{step.module.replace('.', '/')}.py").is_file()
        assert step.limit_s <= 570  # a command may take ten minutes
    assert sum(step.limit_s for step in STEPS) <= 25 * 60
