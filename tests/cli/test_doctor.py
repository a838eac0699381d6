import json
from pathlib import Path

import pytest

from attnprof.cli import main
from attnprof.device import cuda


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    with pytest.raises(SystemExit) as ended:
        main(["doctor", *map(str, arguments)])
    assert isinstance(ended.value.code, int)
    return ended.value.code, capsys.readouterr().out


def test_this_machine_is_fit_to_measure_on_its_cpu(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out = run(capsys, "--device", "cpu", "--out", tmp_path / "run")
    assert code == 0
    assert "torch" in out
    assert "to measure on" in out.splitlines()[-1]


def test_json_lists_the_findings(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out = run(capsys, "--device", "cpu", "--out", tmp_path, "--json")
    found = json.loads(out)
    assert code == 0
    assert found["fit"]
    assert found["device"] == "cpu"
    assert {"subject", "grade", "text", "fix"} == set(found["findings"][0])


def test_an_unfit_environment_exits_5(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, out = run(capsys, "--device", "cpu", "--out", tmp_path / "file")
    assert code == 5
    assert "UNFIT" in out
    assert "choose a writable folder" in out


def test_a_missing_accelerator_is_unfit(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(cuda, "nvml_names", lambda nvml: ())
    code, out = run(capsys, "--device", "cuda", "--out", tmp_path)
    assert code == 5
    assert "no CUDA device is visible" in out
