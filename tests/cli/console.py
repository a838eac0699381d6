"""The command line as a user runs it: its two streams, its exit code; in a process of its own, or in this one."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

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


def here(*arguments: str | Path, cwd: Path | None = None) -> Outcome:
    """The same in this process: what every command has loaded, and the server of a sweep's children, is loaded once."""
    from attnprof.cli.main import main

    words, out, err = [str(word) for word in arguments], io.StringIO(), io.StringIO()
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.chdir(cwd or Path.cwd()))
        stack.enter_context(mock.patch.dict(os.environ, ENV))
        stack.enter_context(mock.patch.object(sys, "argv", ["attnprof", *words]))
        stack.enter_context(contextlib.redirect_stdout(out))
        stack.enter_context(contextlib.redirect_stderr(err))
        with pytest.raises(SystemExit) as ended:
            main(words)
    assert isinstance(ended.value.code, int)
    return Outcome(ended.value.code, out.getvalue(), err.getvalue())
