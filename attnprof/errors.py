"""The one exception that attnprof raises on purpose."""

from __future__ import annotations

import difflib
import linecache
from collections.abc import Collection, Iterable
from pathlib import PurePath


class AttnprofError(Exception):
    """An input or a situation that attnprof cannot use, with the way out.

    `message` names the value and the rule it breaks; `hint` names the nearest valid choice.
    `exit_code` is what the command line returns: 1 unusable input, 4 regression, 5 unfit environment.
    """

    def __init__(self, message: str, *, hint: str = "", exit_code: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.exit_code = exit_code

    def __str__(self) -> str:
        return f"{self.message}\n  hint: {self.hint}" if self.hint else self.message


class Unsupported(AttnprofError):
    """A combination that a scheme does not define: a result (status `unsupported`), not a failure."""


class Failed(AttnprofError):
    """A user's own code raised: which code, how it was called, and what it said."""


class TooLarge(Unsupported):
    """What would take too much memory, or too many pairs, to be known at this length; shorter ones may well be."""


NAMED = 20


def unknown(kind: str, value: str, known: Iterable[str]) -> AttnprofError:
    """The error for a name that is not among the known ones, with the closest of them as its hint."""
    names = sorted(known)
    close = difflib.get_close_matches(value, names, n=3, cutoff=0.5)
    if close:
        hint = f"did you mean {' or '.join(close)}?"
    else:
        more = f", ... {len(names) - NAMED} more" if len(names) > NAMED else ""
        hint = f"known: {', '.join(names[:NAMED])}{more}" if names else f"there is no {kind} to choose from"
    return AttnprofError(f"unknown {kind} {value!r}", hint=hint)


def out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that a device or the machine had no memory left."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or "out of memory" in text or "can't allocate memory" in text


def place_of(error: BaseException, files: Collection[str], named: str = "") -> str:
    """`, line 7` of the last of these files that an exception passed through; nothing where it passed through none.

    The file is told too where `named`, the text that the line follows, does not name it.
    """
    last = _last_place(error, files)
    if last is None:
        return ""
    file, line = last
    name = PurePath(file).name
    return f", line {line}" if name in named else f", line {line} of {name}"


def line_of_code(error: BaseException, files: Collection[str]) -> str:
    """The text of that line, for an exception that says nothing itself, as a bare assertion."""
    last = _last_place(error, files)
    return "" if last is None else linecache.getline(*last).strip()


def _last_place(error: BaseException, files: Collection[str]) -> tuple[str, int] | None:
    places, trace = [], error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename in files:
            places.append((trace.tb_frame.f_code.co_filename, trace.tb_lineno))
        trace = trace.tb_next
    return places[-1] if places else None
