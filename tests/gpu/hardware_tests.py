"""Step 1: the tests marked `gpu`: each is the twin of a fake."""

from __future__ import annotations

import os
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.gpu.limited import run_limited
from tests.gpu.sheet import Sheet

TESTS = Path(__file__).parent
NO_TESTS, TESTS_FAILED = 5, 1


def work(sheet: Sheet) -> None:
    """Run them, and write a row a test."""
    report = sheet.folder / "junit.xml"
    command = [sys.executable, "-m", "pytest", "-m", "gpu", str(TESTS), "-q", "-p", "no:cacheprovider"]
    ended = run_limited([*command, f"--junitxml={report}"], sheet.folder / "pytest.txt", sheet.left_s(), env=os.environ)
    rows = list(cases(report)) if report.is_file() else []
    for row in rows:
        sheet.add(row)
    sheet.summary = {word: sum(row["outcome"] == word for row in rows) for word in ("passed", "failed", "skipped")}
    if ended.timed_out:
        sheet.failed = f"pytest was ended after {ended.wall_s:.0f} s; see pytest.txt"
    elif ended.code == TESTS_FAILED and rows:
        sheet.failed = f"{sheet.summary['failed']} tests fail; see pytest.txt"
    elif ended.code not in (0, NO_TESTS):
        sheet.failed = f"pytest ended with exit code {ended.code}; see pytest.txt"


def cases(report: Path) -> Iterator[dict[str, Any]]:
    """Name, seconds, outcome and, for one that did not pass, the first line of why."""
    for case in ElementTree.parse(report).iter("testcase"):
        outcome, text = "passed", ""
        for tag, word in (("failure", "failed"), ("error", "failed"), ("skipped", "skipped")):
            found = case.find(tag)
            if found is not None:
                outcome, text = word, (found.get("message") or found.text or "").strip().partition("\n")[0][:300]
        yield {"test": case.get("name"), "seconds": float(case.get("time") or 0), "outcome": outcome, "why": text}
