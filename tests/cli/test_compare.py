import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from attnprof.cli import main
from attnprof.records import Measured, Point, Record
from attnprof.shapes import Shape
from attnprof.stats import over_rounds
from attnprof.store import RunFolder

Write = Callable[..., Path]
MACHINE = {"cpu": "Imaginary 9000", "device_name": "Imaginary 9000", "threads": 2}


def record(wall_s: float | None, target: str = "dense", **shape: object) -> Record:
    sizes = {"n": 1024, **shape}
    interval = None if wall_s is None else over_rounds([[wall_s * k] for k in (0.999, 1, 1.001)])
    measured = None if interval is None else Measured(wall_s=interval)
    return Record("cost", f"{target} {sizes}", Point(target, Shape(**sizes)), measured=measured)  # type: ignore[arg-type]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def run(name: str, *records: Record, **machine: object) -> Path:
        with RunFolder.create(tmp_path / name, {"environment": {**MACHINE, **machine}}) as made:
            for one in records:
                made.append(one)
        return tmp_path / name

    return run


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["compare", *map(str, arguments)])
    assert isinstance(ended.value.code, int)
    said = capsys.readouterr()
    return ended.value.code, said.out, said.err


VERDICTS = {"SAME": (1.01, 0), "FASTER": (0.8, 0), "SLOWER": (1.3, 4), "AMBIGUOUS": (1.0505, 0)}


@pytest.mark.parametrize("verdict", VERDICTS)
def test_each_verdict_has_its_exit_code(write: Write, capsys: pytest.CaptureFixture[str], verdict: str) -> None:
    factor, code = VERDICTS[verdict]
    a, b = write("a", record(0.01)), write("b", record(0.01 * factor))
    ended, out, _ = run(capsys, a, b)
    assert ended == code
    assert out.splitlines()[0] == f"1 {verdict} of 1 points"
    assert out.splitlines()[1].startswith(f"on average x{factor:.3g} [")
    assert "10.0 ms [9.98 ms, 10.0 ms] -> " in out.splitlines()[-1]


def test_flagged_points_have_no_verdict_and_say_why(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    busy = dataclasses.replace(record(9.5), flags=("busy_machine",))
    ended, out, _ = run(capsys, write("a", record(0.01)), write("b", busy))
    assert ended == 0
    assert out.splitlines()[0] == "1 AMBIGUOUS of 1 points"
    assert "x950 [" in out
    assert out.rstrip().endswith("AMBIGUOUS: busy machine")


def test_a_machine_that_was_slower_itself_widens_the_tolerance(
    write: Write, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    sides = []
    for name, seconds, speed in (("a", 0.01, 1e11), ("b", 0.013, 0.75e11)):
        yardstick = {"matmul_flops_per_s": speed, "copy_bytes_per_s": 1e10}
        header = {"environment": MACHINE, "yardsticks": [yardstick] * 3}
        with RunFolder.create(tmp_path / name, header) as made:
            made.append(record(seconds))
        sides.append(tmp_path / name)
    ended, out, _ = run(capsys, *sides)
    assert ended == 0
    assert "within 38.3% counts as the same" in out


def test_the_largest_difference_stands_first(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    a = write("a", *(record(0.01, name) for name in ("x", "y", "z")))
    b = write("b", record(0.013, "x"), record(0.004, "y"), record(0.01, "z"))
    _, out, _ = run(capsys, a, b)
    assert out.splitlines()[0] == "1 SLOWER, 1 FASTER, 1 SAME of 3 points"
    assert [line.split()[0] for line in out.splitlines()[3:]] == ["y", "x", "z"]


def test_json_holds_the_intervals(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = write("a", record(0.01), record(0.02, n=2048)), write("b", record(0.02), record(0.02, "flash"))
    ended, out, _ = run(capsys, a, b, "--json")
    found = json.loads(out)
    assert ended == 4
    assert found["schema_version"] == 2
    assert found["regressed"]
    assert (found["only_in_a"], found["only_in_b"]) == (1, 1)
    (point,) = found["points"]
    assert point["verdict"] == "SLOWER"
    assert point["ratio"]["median"] == pytest.approx(2)
    assert point["ratio"]["low"] < 2 < point["ratio"]["high"]
    assert point["a"]["median"] == pytest.approx(0.01)
    assert (point["why"], point["flags"]) == ("", [])
    assert point["point"]["target"] == "dense"


CONDITIONS = {
    "causality": ({"causal": True}, "causal False and True"),
    "dtype": ({"dtype": "bfloat16"}, "dtype float32 and bfloat16"),
    "batch": ({"batch": 2}, "batch 1 and 2"),
    "level": ({"level": "core"}, "level attention and core"),
}


@pytest.mark.parametrize(("changed", "said"), CONDITIONS.values(), ids=CONDITIONS)
def test_points_of_other_conditions_are_refused(
    write: Write, capsys: pytest.CaptureFixture[str], changed: dict[str, object], said: str
) -> None:
    a, b = write("a", record(0.01)), write("b", record(0.01, **changed))
    ended, out, err = run(capsys, a, b)
    assert (ended, out) == (1, "")
    assert f"dense (forward) differs in {said}" in err


def test_what_is_refused_does_not_keep_the_rest_from_being_compared(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    a = write("a", record(0.01), record(0.01, "flash"))
    b = write("b", record(0.01, causal=True), record(0.01, "flash"))
    ended, out, err = run(capsys, a, b)
    assert ended == 0
    assert "flash" in out
    assert "dense" not in out
    assert "not compared: dense (forward) differs in causal" in " ".join(err.split())


def test_another_machine_is_refused_unless_asked_for(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = write("a", record(0.01)), write("b", record(0.01), threads=64)
    ended, _, err = run(capsys, a, b)
    assert ended == 1
    assert "threads 2 and 64" in err
    assert run(capsys, a, b, "--across-machines")[0] == 0


def test_another_allocator_is_another_machine(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    kept = {"MALLOC_MMAP_THRESHOLD_": "8589934592"}
    ended, _, err = run(capsys, write("a", record(0.01)), write("b", record(0.01), settings=kept))
    assert ended == 1
    assert "settings None and {'MALLOC_MMAP_THRESHOLD_'" in " ".join(err.split())
    assert run(capsys, write("c", record(0.01), settings={}), write("d", record(0.01)))[0] == 0


def test_a_point_that_no_longer_runs_is_a_regression(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    broken = dataclasses.replace(record(None), status="oom", reasons={"measured": "the process was killed"})
    a, b = write("a", record(0.01)), write("b", broken)
    ended, out, _ = run(capsys, a, b)
    assert ended == 4
    assert "OOM now: the process was killed" in out
    assert "1 BROKEN" in out


def test_a_folder_that_is_no_run_is_one_clear_message(
    write: Write, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    ended, _, err = run(capsys, write("a", record(0.01)), tmp_path / "nowhere")
    assert ended == 1
    assert "is not a run" in err
    assert "Traceback" not in err


def test_runs_with_nothing_in_common_are_refused(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    ended, _, err = run(capsys, write("a", record(0.01)), write("b", record(0.01, "flash")))
    assert ended == 1
    assert "no point is measured in both" in err
