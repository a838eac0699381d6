"""Progress on standard error, with an estimate of what is left."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from attnprof.cli.options import note, notes
from attnprof.records import Record
from attnprof.units import format_length, format_seconds

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bar


class Progress:
    """Shows each finished visit on standard error, and how much time is left: a bar on a terminal, lines elsewhere.

    `total` points have not been visited yet; `total_s` is what the whole may take, from `began` on.
    """

    def __init__(self, total: int, total_s: float | None = None, began: float | None = None) -> None:
        self.total, self.total_s = total, total_s
        self.done = 0
        self.seen: set[str] = set()
        self.started = time.monotonic() if began is None else began
        self.console = notes()
        self.bar: Any = None

    def __enter__(self) -> Progress:
        note(f"{self.total} points to do{self._within()}")
        if self.console.is_terminal:
            self.bar = bar_on(self.console)
            self.bar.start()
            self.task = self.bar.add_task("starting", total=self.total)
        return self

    def __exit__(self, *error: object) -> None:
        if self.bar is not None:
            self.bar.stop()

    def watch(self, record: Record) -> None:
        """One more record: a point's first, or one more round of it."""
        anew = record.key not in self.seen
        self.seen.add(record.key)
        self.done += anew
        line = describe(record)
        if self.bar is not None:
            from rich.markup import escape

            self.bar.update(self.task, advance=int(anew), total=max(self.total, self.done), description=escape(line))
            return
        count = f"{self.done}/{max(self.total, self.done)}" if anew else "again"
        note(f"{count} {line}, ETA {format_seconds(self.left_s())}")

    def left_s(self) -> float:
        """Seconds until the points are visited once at the speed so far, and at most what is left of the whole."""
        spent = time.monotonic() - self.started
        left = spent / max(self.done, 1) * max(self.total - self.done, 0)
        if self.total_s is None:
            return left
        within = max(0.0, self.total_s - spent)
        return min(left, within) if self.done < self.total else within

    def _within(self) -> str:
        return "" if self.total_s is None else f", in {format_seconds(self.total_s)} at most"


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
    point, wall = record.point, record.measured.wall_s if record.measured else None
    outcome = str(record.status)
    if wall is not None:
        rounds = f" in {len(wall.rounds)} rounds" if len(wall.rounds) > 1 else ""
        width = f" ±{wall.half_width:.0%}" if wall.bounded else ", one sample"
        outcome = f"{format_seconds(wall.median)}{width}{rounds}"
    return f"{point.target} {point.pass_} n={format_length(point.shape.n)} {outcome}"
