"""Two runs measured once more, a round of each in turn and in random order: what drifts hits both alike.

Each is done by the command, the folder and the interpreter that its run was made with, so that two commits, two
environments or two settings can be held against each other.
"""

from __future__ import annotations

import os
import random
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from attnprof.errors import AttnprofError
from attnprof.stats import ROUNDS
from attnprof.store import RunFolder

Run = Callable[[Sequence[str], Path], int]
DROPPED = ("--out", "--rounds", "--time")
FINE = (0, 3)


def interleaved(a: Path, b: Path, told: Callable[[str], None], run: Run | None = None, seed: int = 0) -> list[Path]:
    """Folders beside the two in which both are measured anew. Raises `AttnprofError` where that does not work."""
    run = run or _run
    sides = [(path, RunFolder.open(path).header) for path in (a, b)]
    found = [_beside(path) for path, _ in sides]
    order = random.Random(seed)
    for number in range(1, ROUNDS + 1):
        for i in order.sample((0, 1), 2):
            words = repeated(sides[i][1], found[i], number)
            told(f"round {number} of {sides[i][0]}")
            code = run(words, Path(str(sides[i][1].get("folder") or ".")))
            if code not in FINE:
                raise AttnprofError(f"{shlex.join(words)} ended with exit code {code}", hint="try that command alone")
    return found


def repeated(header: Mapping[str, object], out: Path, rounds: int) -> list[str]:
    """The command of a run as it is given again, into another folder and up to so many rounds."""
    words = shlex.split(str(header.get("command") or ""))
    if words[:2] != ["attnprof", "sweep"]:
        raise AttnprofError(
            f"the run was made by {shlex.join(words) or 'no known command'}", hint="runs of `attnprof sweep` can be"
        )
    kept, skip = [], False
    for word in words[1:]:
        if skip or word in DROPPED:
            skip = not skip
        elif not word.startswith(tuple(f"{name}=" for name in DROPPED)) and word not in ("--fresh", "--json"):
            kept.append(word)
    python = str(header.get("executable") or sys.executable)
    return [python, "-m", "attnprof", *kept, "--no-page", "--out", str(out), "--rounds", str(rounds)]


def _beside(path: Path) -> Path:
    """A folder that is not there yet."""
    path = path.resolve()
    tries = (path.with_name(f"{path.name}-again{i}") for i in range(1, 10_000))
    return next(made for made in tries if not made.exists())


def _run(words: Sequence[str], folder: Path) -> int:
    return subprocess.run(words, cwd=folder, env=os.environ, stdout=subprocess.DEVNULL, check=False).returncode
