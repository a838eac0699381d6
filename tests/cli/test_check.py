"""`attnprof check`: the verdict first, then every finding with its place and evidence; exit codes for a CI."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import attnprof as package
from attnprof.checks import Unsound, examine
from attnprof.cli.main import main
from attnprof.shapes import Shape
from attnprof.targets import door

FAKES = Path(__file__).parents[1] / "fakes"
PLANTED, SOUND = FAKES / "planted.py", FAKES / "sound.py"
SMALL = ("--n", "64", "--dim", "32", "--heads", "2")


def typed(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[object, str]:
    """The exit code of a command, and what it prints: in this process, where torch is loaded already."""
    with pytest.raises(SystemExit) as ended:
        main(["check", *words, *SMALL])
    return ended.value.code, capsys.readouterr().out


def test_a_leak_is_named_with_its_place_and_fails(capsys: pytest.CaptureFixture[str]) -> None:
    code, out = typed(capsys, f"{PLANTED}:Inner", "--causal")
    assert code == 4
    lines = out.splitlines()
    assert lines[0] == "Inner at n = 64, called as forward(x=[1, 64, 32])"
    assert lines[1].startswith("  not causal: whatever comes from position 1 on was replaced")
    assert "defect future_leak: 63 pairs read the future, 1 ahead" in out
    assert "where: layers.1 (OneAhead), user_code.py:" in out
    assert "Inner: 1 defect" in out


def test_several_targets_are_one_object_and_one_pattern_is_held_against(capsys: pytest.CaptureFixture[str]) -> None:
    nine = str(FAKES / "nine.py")
    code, out = typed(capsys, f"{PLANTED}:Window", "longformer", "--against", nine, "--json")
    assert code == 4  # longformer's window is not 9 wide
    window, longformer = json.loads(out)["targets"]
    assert window["sound"]
    assert "pattern" in window["passed"]
    assert not longformer["sound"]
    assert {finding["kind"] for finding in longformer["findings"]} >= {"edges_undeclared"}
    assert all(finding["evidence"] and finding["advice"] for finding in longformer["findings"])


def test_python_raises_with_its_findings_and_returns_what_passed() -> None:
    fine = package.check(f"{SOUND}:Steps", 48, causal=True, dim=32, heads=2)
    assert {"causality", "gradients", "decoding"} <= set(fine.passed)
    assert fine.verdict.startswith("causal")
    with pytest.raises(Unsound, match=r"grows_faster: FLOPs of a training pass grow as n\*\*2, not as n") as raised:
        package.check(f"{SOUND}:Fused", 48, claim="n", dim=32, heads=2)
    assert "grows_faster" in {finding.kind for finding in raised.value.findings}
    assert raised.value.exit_code == 4
    with pytest.raises(Unsound, match="edges_missing"):
        package.check(f"{PLANTED}:Window", 48, against="sliding_window", dim=32, heads=2)


@pytest.mark.parametrize("name", ["dense", "linear", "longformer"])
def test_a_scheme_is_held_to_its_reference_and_its_pattern(name: str) -> None:
    found = package.check(name, 64, dim=32, heads=2)
    assert "reference" in found.passed
    assert ("pattern" in found.passed) is (name != "linear")


def test_the_verdict_on_causality_comes_before_all_else() -> None:
    class Heard(Exception):
        pass

    def told(verdict: str) -> None:
        assert verdict.startswith("causal")
        raise Heard

    with pytest.raises(Heard):
        examine(door.find(f"{SOUND}:Fused"), Shape(256, dim=512, heads=8), told=told)


def test_a_stack_is_looked_at_as_a_scheme_is() -> None:
    found = package.check("2 sliding_window window=16 + 1 dense ; layers=3", 64, causal=True, dim=32, heads=2)
    assert {"causality", "reference", "gradients", "lengths", "squares"} <= set(found.passed)
