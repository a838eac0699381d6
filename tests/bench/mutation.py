"""How many planted one-token changes the tests catch. Not a test: run it from the checkout, for minutes to an hour.

    python -m tests.bench.mutation --sample 100 --seed 0 --jobs 2 --json mutation.json

Each mutant runs in a copy of the tree, in a process forked from one that has the libraries loaded: first the tests
nearest to the changed file, and only if they pass the wider ones, to the first failure. A change that no test fails for
has survived. Exit code 1 where fewer than 95 of 100 are caught.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.bench.mutants import Mutant, count, mutant

ROOT = Path(__file__).resolve().parents[2]
GOAL = 0.95
LIMIT_S = (240.0, 900.0)
LEFT_OUT = (".git", ".venv", "__pycache__", "attnprof-runs", ".pytest_cache", ".hypothesis", "reference")
CAUGHT, SURVIVED, TIMEOUT = "caught", "survived", "timeout"
PASSED = 0

COST = ("formulas*.py", "tiles.py", "useful.py", "decode_step.py", "workspace.py", "operators.py")
PATTERN = ("primitives.py", "expr.py", "framed.py", "slices.py", "slots.py", "listed.py", "given.py")

# The nearest tests first; all those of a stage run in one go, to the first failure.
STAGES: dict[str, tuple[tuple[str, ...], ...]] = {
    "counting": (
        ("tests/unit/counting/test_values.py", "tests/unit/counting/test_values_beside.py",
         "tests/unit/counting/test_values_memory.py", "tests/unit/counting/test_values_useful.py",
         "tests/unit/counting/test_values_decode.py"),
        ("tests/unit/counting/test_formulas.py", "tests/unit/counting/test_workspaces.py",
         "tests/unit/counting/test_operators.py", "tests/unit/counting/test_flash_kernel.py",
         "tests/unit/counting/test_counting.py", "tests/unit/counting/test_reasons.py",
         "tests/unit/counting/test_peaks.py", "tests/unit/counting/test_memory.py", "tests/laws/test_stated_work.py"),
    ),
    "pattern": (
        ("tests/unit/pattern/test_every_small_case.py", "tests/unit/pattern/test_slices_small.py",
         "tests/unit/pattern/test_mistakes.py"),
        ("tests/unit/pattern", "tests/laws/test_primitives.py", "tests/laws/test_patterns.py"),
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a mutant, in which stage, after how long."""

    mutant: Mutant
    outcome: str
    stage: int
    wall_s: float

    @property
    def line(self) -> str:
        """For a reader."""
        return f"{self.outcome:8} {self.wall_s:5.0f} s  {self.mutant.change}"


def main(arguments: list[str] | None = None) -> int:
    """Plant, run, tell."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.mutation", description=__doc__)
    parser.add_argument("--sample", type=int, default=100, help="mutants to plant")
    parser.add_argument("--seed", type=int, default=0, help="seed of the sample")
    parser.add_argument("--part", default="", metavar="FIRST:LAST", help="only these of the sample, e.g. 0:25")
    parser.add_argument("--only", default="", help="only files whose path has this in it, e.g. pattern/")
    parser.add_argument("--jobs", type=int, default=1, help="mutants at once")
    parser.add_argument("--list", action="store_true", help="print the sample, run nothing")
    parser.add_argument("--json", type=Path, help="file for the verdicts")
    given = parser.parse_args(arguments)
    sample = sampled(given.sample, given.seed, given.only)
    first, _, last = given.part.partition(":")
    sample = sample[int(first or 0) : int(last) if last else None]
    if given.list:
        print(*(m.change for m in sample), sep="\n")
        return 0
    found = []
    for verdict in verdicts(sample, given.jobs):
        found.append(verdict)
        print(verdict.line, flush=True)
    if given.json:
        given.json.write_text(json.dumps([plain(v) for v in found], indent=1), encoding="utf-8")
    caught = sum(v.outcome != SURVIVED for v in found)
    print(f"{caught} of {len(found)} caught")
    return 0 if caught >= GOAL * len(found) else 1


def plain(verdict: Verdict) -> dict[str, object]:
    """A verdict without the text of its mutant."""
    about = {name: value for name, value in asdict(verdict.mutant).items() if name != "text"}
    return {**about, "outcome": verdict.outcome, "stage": verdict.stage, "wall_s": round(verdict.wall_s, 1)}


def sources(only: str = "") -> list[str]:
    """The files that are changed, as paths from the checkout."""
    rooms = (("counting", COST), ("pattern", PATTERN))
    files = {file for room, globs in rooms for glob in globs for file in (ROOT / "attnprof" / room).glob(glob)}
    return [name for name in sorted(str(file.relative_to(ROOT)) for file in files) if only in name]


def sampled(size: int, seed: int, only: str = "") -> list[Mutant]:
    """Distinct mutants, drawn evenly from all places of all files."""
    texts = {name: (ROOT / name).read_text(encoding="utf-8") for name in sources(only)}
    places = [(name, at) for name, text in texts.items() for at in range(count(text))]
    drawn = random.Random(seed).sample(places, min(size, len(places)))
    return [mutant(name, texts[name], at) for name, at in drawn]


def verdicts(sample: Sequence[Mutant], jobs: int) -> Iterator[Verdict]:
    """Run the mutants, so many at once, each job with a copy of the tree; as they end."""
    load()
    with tempfile.TemporaryDirectory(prefix="attnprof-mutants-") as folder:
        free = [copied(Path(folder) / str(job)) for job in range(jobs)]
        sound = Sound(copied(Path(folder) / "as it is"))
        running: list[Trial] = []
        todo = list(reversed(sample))
        while todo or running:
            while todo and free:
                running.append(Trial(todo.pop(), free.pop(), sound))
            time.sleep(0.1)
            for trial in [trial for trial in running if trial.ended()]:
                running.remove(trial)
                free.append(trial.tree)
                yield trial.verdict()


def load() -> None:
    """What every child would load for itself: nothing of attnprof, and nothing that starts threads."""
    import hypothesis
    import numpy
    import pytest
    import torch
    from torch._higher_order_ops import flex_attention
    from torch._subclasses import fake_tensor

    torch.set_num_threads(1)
    assert not [name for name in sys.modules if name.split(".")[0] == "attnprof"]
    del hypothesis, numpy, pytest, flex_attention, fake_tensor


def copied(tree: Path) -> Path:
    """A copy of the checkout."""
    shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(*LEFT_OUT))
    return tree


class Sound:
    """Whether the tests of each stage pass without a change, asked once: else their failures say nothing."""

    def __init__(self, tree: Path) -> None:
        self.tree = tree
        self.known: set[tuple[str, ...]] = set()

    def require(self, tests: tuple[str, ...]) -> None:
        """Raise `RuntimeError` where they do not."""
        if tests in self.known:
            return
        pid = forked(self.tree, tests)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if code != PASSED:
            raise RuntimeError(f"pytest ends with {code} without any change: {' '.join(tests)}")
        self.known.add(tests)


class Trial:
    """A mutant on its way through the stages, in one copy of the tree."""

    def __init__(self, planted: Mutant, tree: Path, sound: Sound) -> None:
        self.planted, self.tree, self.stage, self.sound = planted, tree, 0, sound
        self.outcome = ""
        self.began = time.monotonic()
        self.original = (tree / planted.file).read_text(encoding="utf-8")
        (tree / planted.file).write_text(planted.text, encoding="utf-8")
        self._start()

    def ended(self) -> bool:
        """Whether it has a verdict; starts the next stage where the last one passed."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid == 0:
            if time.monotonic() - self.stage_began < LIMIT_S[self.stage]:
                return False
            os.killpg(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            return self._end(TIMEOUT)
        code = os.waitstatus_to_exitcode(status)
        if code != PASSED:
            return self._end(CAUGHT)
        self.stage += 1
        if self.stage < len(self._stages()):
            self._start()
            return False
        return self._end(SURVIVED)

    def verdict(self) -> Verdict:
        """What became of it."""
        return Verdict(self.planted, self.outcome, self.stage, time.monotonic() - self.began)

    def _stages(self) -> tuple[tuple[str, ...], ...]:
        return STAGES[Path(self.planted.file).parts[1]]

    def _end(self, outcome: str) -> bool:
        (self.tree / self.planted.file).write_text(self.original, encoding="utf-8")
        self.outcome = outcome
        return True

    def _start(self) -> None:
        tests = self._stages()[self.stage]
        self.sound.require(tests)
        self.stage_began = time.monotonic()
        self.pid = forked(self.tree, tests)


def forked(tree: Path, tests: Sequence[str]) -> int:
    """A process that runs tests in a copy of the tree."""
    pid = os.fork()
    if pid == 0:
        child(tree, tests)
    return pid


def child(tree: Path, tests: Sequence[str]) -> None:
    """Run tests in a copy of the tree, to the first failure, and end the process with pytest's exit code."""
    os.setpgrp()
    os.chdir(tree)
    quiet = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(quiet, stream)
    sys.dont_write_bytecode = True
    os.environ |= {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    sys.path[:] = [str(tree), *(part for part in sys.path if part and not (Path(part) / "attnprof").is_dir())]
    for name in [name for name in sys.modules if name.split(".")[0] == "tests"]:
        del sys.modules[name]
    import pytest

    code = 1
    try:
        code = int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-p", "no:benchmark", "-m", "not slow", *tests]))
    finally:
        os._exit(code)


if __name__ == "__main__":
    sys.exit(main())
