"""`attnprof.sweep`: the command, asked for by a program."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import attnprof
from attnprof import AttnprofError
from attnprof.sweeps.by_command import text_of, words_of
from attnprof.sweeps.remeasure import repeated
from tests.cli.console import ENV
from tests.fakes.user_code import Plain

SCRIPT = """
import attnprof
run = attnprof.sweep(
    ["dense", "linear"], lengths=[64, 96], passes="forward", device="none", out={out!r}, dim=32, heads=2, causal=False
)
print(*((r.point.target, r.point.shape.n, r.cost.flops_executed) for r in run.records() if r.kind == "cost"), sep="\\n")
"""


def test_a_script_sweeps_as_the_command_does(tmp_path: Path) -> None:
    script, out = tmp_path / "own.py", tmp_path / "run"
    script.write_text(SCRIPT.format(out=str(out)))  # no `if __name__ == "__main__"`
    done = subprocess.run([sys.executable, script], env=ENV, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    counted = [
        (name, n, attnprof.count(name, n, dim=32, heads=2, causal=False))
        for name in ("dense", "linear")
        for n in (64, 96)
    ]
    assert sorted(done.stdout.splitlines()) == sorted(  # a sweep takes its targets in an order of chance
        str((name, n, found.cost.flops_executed)) for name, n, found in counted
    )
    assert "planning dense, linear" in done.stderr
    run = attnprof.read_run(out)
    seen = {r.point.target: r.metrics and r.metrics["layers_to_full"] for r in run.records() if r.kind == "graph"}
    assert set(seen) == {"dense", "linear"}
    assert seen["dense"] == 1
    assert "its pattern was not analysed" not in (out / "report.html").read_text()
    again = repeated(run.header, tmp_path / "again", 1)
    assert again[3:6] == ["sweep", "dense", "linear"]


def test_an_error_of_the_command_is_the_exception(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(AttnprofError, match="unknown scheme 'longformr'") as caught:
        attnprof.sweep("longformr", lengths=64, device="none", out=tmp_path / "run")
    assert caught.value.hint == "did you mean longformer or linformer or poolingformer?"
    assert "error: unknown scheme" in capfd.readouterr().err


def test_what_no_other_process_finds_is_refused() -> None:
    assert text_of(Plain) == "tests.fakes.user_code:Plain"
    for thing in (Plain(32), lambda q, k, v: v):
        with pytest.raises(AttnprofError, match="cannot find this") as caught:
            attnprof.sweep(thing, lengths=64)
        assert "file.py:object" in caught.value.hint


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"things": []}, "no target is named"),
        ({"hedas": 4}, "unknown size 'hedas'"),
        ({"passes": ("trian",)}, "unknown pass 'trian'"),
        ({"device": "cup"}, "unknown device 'cup'"),
    ],
)
def test_what_cannot_be_is_refused_before_a_process_starts(given: dict[str, object], message: str) -> None:
    with pytest.raises(AttnprofError, match=message):
        attnprof.sweep(**given)


def test_sizes_are_the_options_of_the_command() -> None:
    words = words_of(["dense", Path("own.py")], "1k-4k", out=None, m=64, kv_heads=2, causal=False, depth=3)
    assert words[:3] == ["sweep", "dense", "own.py"]
    assert words[3:] == ["--lengths", "1k-4k", "--keys", "64", "--kv-heads", "2", "--no-causal", "--depth", "3"]
