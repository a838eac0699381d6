"""Command lines by the thousand, from what the commands say that they take: each ends with an exit code, none breaks.

    python -m tests.bench.command_lines 10000

They run in a folder of their own; a sweep only plans. What takes more than a few seconds of a core is stopped.
"""

from __future__ import annotations

import contextlib
import io
import os
import random
import resource
import signal
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import click

from attnprof.cli.main import COMMANDS, cli, main

CODES = {0, 1, 2, 3, 4, 5, 130}
LONG_S = 5  # of a core: how busy the machine is does not matter
WEIGHTS = {"sweep": 5, "compare": 3, "report": 3, "graph": 3, "cost": 3, "limit": 2, "show": 2, "list": 1, "schema": 1}
TARGETS = (
    *("dense", "flash", "longformer", "linear", "performer", "longformr", "mine.py", "mine.py:Mine", "mine.py:Nothing"),
    *("broken.py", "ends.py:X", "nowhere.py", "json:loads", "collections:OrderedDict", ":x", "x:", "", " ", "[/b]"),
    *("run", "a b/run", "2 dense + 1 sliding_window", "hf:nothing", "\u00e4\u00f6", "-", "a" * 300),
)
VALUES = (
    *("1", "2", "4", "64", "8", "0", "-1", "1.5", "x", "", "64,96", "64-128", "96-64", "1q", "none", "true", "cpu"),
    *(
        "forward",
        "train",
        "forward,train",
        "decode",
        "float32",
        "float16",
        "longformer.window=4",
        "window=4",
        "a.b.c=1",
    ),
    *("=", "x=", "4k=3", "[/boom]", "80GB", "80G", "run", "a b", "mine.py", "eager", "masked", "nothing", "\udcff"),
    *("/proc/none", "a" * 300, "1e9", "10m", "q", "bnd", "m(x)", "1e400", "nan"),
)
WARM = (
    ["cost", "dense", "--lengths", "64", "--json"],
    *(["graph", "bigbird", "--n", "256"], ["limit", "linear", "--memory", "64MiB"], ["audit", "dense", "--n", "64"]),
    *(["show", "bigbird"], ["compare", "run", "run"], ["report", "run"], ["list"], ["schema"]),
)
FILES = {
    "mine.py": "import torch\n\n\nclass Mine(torch.nn.Module):\n    def forward(self, x):\n        return x\n\n\n"
    "def pattern(n, *, width=4):\n    from attnprof.pattern import Band\n    return Band(width)\n",
    "broken.py": "x = (\n",
    "ends.py": "import sys\nsys.exit(0)\n",
}


def line(draw: random.Random) -> list[str]:
    """One command line: a command, some of its options with values that may fit, some words, now and then nonsense."""
    name = draw.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
    context = click.Context(cli)
    found = cli.get_command(context, name)
    assert found is not None
    options = [param for param in found.params if isinstance(param, click.Option)]
    said = [name]
    for _ in range(draw.choice((0, 1, 1, 2, 3, 6)) if options else 0):
        option = draw.choice(options)
        said.append(draw.choice(option.opts + option.secondary_opts))
        if not option.is_flag:
            said.append(draw.choice(VALUES))
    arguments = [param for param in found.params if isinstance(param, click.Argument)]
    for argument in arguments:
        said += draw.choices(TARGETS, k=1 if argument.nargs == 1 else draw.choice((1, 1, 2)))
    if draw.random() < 0.1:
        said.insert(draw.randrange(len(said) + 1), draw.choice((*VALUES, "--nonsense", "-x", "--")))
    if name == "sweep":
        said += ["--dry-run", "--lengths", draw.choice(("64", "64,96", "64-256", "1q"))]
    return [word.replace("\0", "") for word in said]


def outcome(words: list[str]) -> str:
    """How it ended: its exit code, `slow`, or the exception that came through.

    In a process of its own, so that one that is stopped half way through an import breaks no other. A sweep only plans,
    with children that have limits, and stays here, where they have a server.
    """
    if words[0] == "sweep":
        return ended(words)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_CPU, (LONG_S, LONG_S + 1))
        os.write(write, ended(words).encode("utf-8", "backslashreplace")[:4000])
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        said = pipe.read().decode()
    _, status = os.waitpid(child, 0)
    by = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    return "slow" if by in (signal.SIGXCPU, signal.SIGKILL) else said or f"BROKEN: it died: {status}"


def ended(words: list[str]) -> str:
    """How it ends in this process."""
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            main(words)
    except SystemExit as end:
        return f"exit {end.code}" if end.code in CODES else f"BROKEN: exit code {end.code}"
    except BaseException as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        return f"BROKEN: {type(error).__name__} at {Path(place.filename).name}:{place.lineno}: {str(error)[:80]}"
    return "BROKEN: no exit"


@contextlib.contextmanager
def place() -> Iterator[None]:
    """A folder with a few files in it, in which the commands run."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for name, text in FILES.items():
            Path(name).write_text(text)
        try:
            yield
        finally:
            os.chdir(before)


def tally(count: int, seed: int = 0) -> tuple[Counter[str], dict[str, list[str]]]:
    """How so many ended, and one command line of each kind that broke."""
    import numba  # noqa: F401
    import torch

    torch.set_num_threads(1)  # a pool of threads does not outlive a fork
    draw, found, examples = random.Random(seed), Counter[str](), dict[str, list[str]]()
    with place():
        for words in WARM:  # what commands import is imported once, not in every process
            ended(words)
        for _ in range(count):
            words = line(draw)
            how = outcome(words)
            found[how] += 1
            if how.startswith("BROKEN"):
                examples.setdefault(how, words)
    return found, examples


if __name__ == "__main__":
    assert {command.name for command in COMMANDS} >= set(WEIGHTS)
    counted, broken = tally(
        int(sys.argv[1]) if len(sys.argv) > 1 else 10_000, seed=int(sys.argv[2]) if len(sys.argv) > 2 else 0
    )
    for what, times in counted.most_common():
        print(f"{times:6} {what}  {' '.join(map(ascii, broken.get(what, [])))}")
