"""Progress on standard error, with an estimate of what is left."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from attnprof.cli.options import notes
from attnprof.records import Record
from attnprof.units import format_length, format_seconds

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bar


class Progress:
    """Shows each finished record and an ETA on standard error: a bar on a terminal, lines elsewhere."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.done = 0
        self.started = time.monotonic()
        self.console = notes()
        self.bar: Any = None

    def __enter__(self) -> Callable[[Record], None]:
        if self.console.is_terminal:
            self.bar = bar_on(self.console)
            self.bar.start()
            self.task = self.bar.add_task("starting", total=self.total)
        return self.watch

    def __exit__(self, *error: object) -> None:
        if self.bar is not None:
            self.bar.stop()

    def watch(self, record: Record) -> None:
        """One more record."""
        self.done += 1
        line = describe(record)
        if self.bar is not None:
            self.bar.update(self.task, advance=1, description=line)
            return
        spent = time.monotonic() - self.started
        left = spent / self.done * (self.total - self.done)
        self.console.print(f"{self.done}/{self.total} {line}, ETA {format_seconds(left)}", soft_wrap=True)


def bar_on(console: Console) -> Bar:
    """A bar that goes when it is done: what runs, how many of how many, the time that is left."""
    from rich import progress

    text, bar = progress.TextColumn("{task.description}"), progress.BarColumn()
    columns = (text, bar, progress.MofNCompleteColumn(), progress.TimeRemainingColumn())
    return progress.Progress(*columns, console=console, transient=True)


@contextlib.contextmanager
def counting_bar() -> Iterator[Callable[[int, int], None]]:
    """What to tell how many counts are made, of how many: a bar on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    with bar_on(notes()) as shown:
        task = shown.add_task("counting", total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)


def describe(record: Record) -> str:
    """One record in a few words."""
    point, measured = record.point, record.measured
    wall = measured.wall_s.median if measured and measured.wall_s else None
    outcome = format_seconds(wall) if wall is not None else record.status
    return f"{point.target} {point.pass_} n={format_length(point.shape.n)} {outcome}"
