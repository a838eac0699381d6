"""The command line as a user runs it: a process, its two streams, its exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ENV = {**os.environ, "NO_COLOR": "1", "COLUMNS": "160", "OMP_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """The JSON object on standard output."""
        return json.loads(self.out)


def command(*arguments: str | Path) -> list[str]:
    """The process of a command line."""
    return [sys.executable, "-m", "attnprof", *map(str, arguments)]


def attnprof(*arguments: str | Path, cwd: Path | None = None, timeout_s: float = 240.0) -> Outcome:
    """Run a command to its end."""
    run = subprocess.run(command(*arguments), cwd=cwd, env=ENV, capture_output=True, text=True, timeout=timeout_s)
    return Outcome(run.returncode, run.stdout, run.stderr)
