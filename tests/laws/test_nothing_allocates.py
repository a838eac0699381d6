"""Counting, lowering, closed forms and limits take no memory to speak of at 65,536 tokens, whatever the pattern."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.laws.bounded import questions

pytestmark = pytest.mark.slow  # some hundred counts of 65,536 tokens, a minute and more
MOST = 300 * 1000**2
REPO = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def answers() -> dict[str, dict[str, Any]]:
    """Every question's answer, from one program that forks a child for each."""
    environment = {**os.environ, "PYTHONPATH": f"{REPO}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    command = [sys.executable, "-m", "tests.laws.bounded"]
    run = subprocess.run(command, cwd=REPO, env=environment, capture_output=True, text=True, check=True)
    return {found["name"]: found for found in map(json.loads, run.stdout.splitlines())}


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="resident memory is read from /proc")
@pytest.mark.parametrize("name", questions())
def test_a_count_of_64k_tokens_stays_small_or_says_what_is_too_large(
    answers: dict[str, dict[str, Any]], name: str
) -> None:
    found = answers[name]
    assert "failed" not in found, found["failed"]
    assert found["grew"] < MOST
    if "refused" in found:
        assert "65536" in found["refused"] or "65,536" in found["refused"], "the size is named"
    else:
        assert found["value"] != "None"


def test_few_patterns_are_refused(answers: dict[str, dict[str, Any]]) -> None:
    refused = [name for name, found in answers.items() if "refused" in found]
    assert len(refused) <= len(answers) // 20, refused


def test_layers_of_different_kinds_are_counted_at_64k(answers: dict[str, dict[str, Any]]) -> None:
    """Five windows of 1,024 keys and one full layer, 2 heads of 32, forward and backward: 3 * 4 * 64 FLOPs an edge."""
    n, window = 65536, 1024
    edges = 5 * (n * window - window * (window - 1) // 2) + n * (n + 1) // 2
    assert answers["train: six layers"]["value"] == str(3 * 4 * 64 * edges)


def test_a_dense_part_is_written_as_a_form_of_n(answers: dict[str, dict[str, Any]]) -> None:
    """n / 256 blocks of rows: 4 * 64 FLOPs for each of n^2 / 2 + 128 n pairs."""
    assert "'forward_core': '128*n**2 + 32768*n'" in answers["forms: dense causal"]["value"]
