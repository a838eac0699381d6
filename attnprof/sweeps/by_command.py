"""A sweep that a program asks for: the command itself, in a process of its own.

So a script needs no `if __name__ == "__main__"` for the children that are started, nothing that the program has loaded
is timed along, and the run's header holds a command that does it again.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import FunctionType
from typing import IO

from attnprof.errors import AttnprofError

SPELT = {"m": "keys"}  # where the option of a size has a longer name
GRACE_S = 30.0  # for the page of a sweep that was interrupted
FINE = (0, 3)  # 3: some points failed, and their records say why


def text_of(thing: object) -> str:
    """The text by which another process finds a thing. Raises `AttnprofError` for an object that none finds."""
    if isinstance(thing, str | Path):
        return str(thing)
    if isinstance(thing, (type, FunctionType)) and thing.__module__ != "__main__":
        module, name = sys.modules.get(thing.__module__), thing.__qualname__
        if module is not None and vars(module).get(name) is thing:
            return f"{thing.__module__}:{name}"
    raise AttnprofError(
        f"a sweep measures in processes of their own, which cannot find this {type(thing).__name__}",
        hint="put it into a file and sweep 'file.py:object'; attnprof.profile measures an object here",
    )


def words_of(things: object, lengths: int | str | Iterable[int], **options: object) -> list[str]:
    """The words of `attnprof sweep` that ask for this; `things` is None for every scheme."""
    several = [] if things is None else list(things) if isinstance(things, list | tuple) else [things]
    if things is not None and not several:
        raise AttnprofError("no target is named", hint="None, or nothing at all, sweeps every scheme")
    spans = str(lengths) if isinstance(lengths, int | str) else ",".join(map(str, lengths))
    words = ["sweep", *map(text_of, several), "--lengths", spans]
    for name, value in options.items():
        words += _option(name, value)
    return words


def swept(words: Sequence[str]) -> Path:
    """Run the command, its progress on standard error; the folder of its run. Raises `AttnprofError` as it ends."""
    path = os.pathsep.join(filter(None, sys.path))  # what this process can import, its children can
    with tempfile.TemporaryFile("w+", encoding="utf-8") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "attnprof", *words, "--json"],
            env={**os.environ, "PYTHONPATH": path, "NO_COLOR": "1"},
            stdout=out,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
        )
        assert process.stderr is not None
        with process:
            try:
                told = _passed_on(process.stderr)
            except KeyboardInterrupt:  # the terminal or the notebook told it too; else it is told now
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(GRACE_S)
                process.terminate()
                _passed_on(process.stderr)
                raise
        if process.returncode not in FINE:
            raise _error(told, process.returncode)
        out.seek(0)
        return Path(json.load(out)["run"])


def _option(name: str, value: object) -> list[str]:
    if value is None:
        return []
    spelt = SPELT.get(name, name).replace("_", "-")
    if isinstance(value, bool):
        no = [f"--no-{spelt}"] if name == "causal" else []  # the one flag whose absence says something else
        return [f"--{spelt}"] if value else no
    return [f"--{spelt}", str(value)]


def _passed_on(stream: IO[str]) -> list[str]:
    """The lines of a stream, each on our standard error as it comes."""
    lines = []
    for line in stream:
        lines.append(line.rstrip("\n"))
        print(lines[-1], file=sys.stderr, flush=True)
    return lines


def _error(told: Sequence[str], code: int) -> AttnprofError:
    """What the command said last, as the exception that it was there."""
    heads = [i for i, line in enumerate(told) if line.lower().startswith("error: ")]
    if not heads:
        return AttnprofError(f"the sweep ended with exit code {code}", hint=told[-1] if told else "", exit_code=code)
    message, _, hint = "\n".join(told[heads[-1] :])[len("error: ") :].partition("\n hint: ")
    return AttnprofError(message, hint=hint, exit_code=code)
