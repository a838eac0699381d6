"""Progress on standard error, with an estimate of what is left."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from attnprof.cli.options import note, notes
from attnprof.records import Record
from attnprof.units import format_length, format_seconds
from attnprof.words import Status

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bar


class Progress:
    """Shows on standard error what is done, and how much time is left: each visit in a bar on a terminal, elsewhere a
    line for each point that is finished for the first time, and one for each further round.

    `total` points have not been visited yet; `total_s` is what the whole may take, from `began` on;
    `seen` are the keys of those that have been.
    """

    def __init__(
        self, total: int, total_s: float | None = None, began: float | None = None, seen: Iterable[str] = ()
    ) -> None:
        self.total, self.total_s = total, total_s
        self.done = 0
        self.seen = set(seen)
        self.started = time.monotonic() if began is None else began
        self.console = notes()
        self.bar: Bar | None = None

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
        total = max(self.total, self.done)
        if self.bar is not None:
            from rich.markup import escape

            self.bar.update(self.task, advance=int(anew), total=total, description=escape(describe(record)))
        elif anew and record.status is not Status.OVER_BUDGET:  # the end tells those that had no turn, and how many
            note(f"{self.done}/{total} {describe(record)}, ETA {format_seconds(self.left_s())}")

    def round_ended(self, number: int, visited: int, wide: int) -> None:
        """A further round is over, of so many points; the intervals of `wide` of all are not tight yet."""
        if self.bar is None:
            left = f", ETA {format_seconds(self.left_s())}" if wide else ""
            note(f"round {number}: points measured again: {visited}, intervals still wide: {wide}{left}")

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
    from attnprof.stats import ROUNDS

    point, wall = record.point, record.measured.wall_s if record.measured else None
    outcome = str(record.status)
    if wall is not None:
        rounds = len(wall.rounds)
        width = f" ±{wall.half_width:.0%}" if rounds >= ROUNDS else ""  # what fewer span is not what another would take
        outcome = f"{format_seconds(wall.median)}{width} in {rounds} round{'s' if rounds != 1 else ''}"
    return f"{point.target} {point.pass_} n={format_length(point.shape.n)} {outcome}"
