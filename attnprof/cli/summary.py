"""What a sweep ends with: a table, what is missing and why, the page, a next command."""

from __future__ import annotations

import shlex
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from attnprof.cli.options import emit, note, printable
from attnprof.records import Record
from attnprof.units import format_bytes, format_flops, format_length, format_seconds
from attnprof.words import Status

REASONS_SHOWN = 12
BAD = (Status.FAILED, Status.TIMEOUT, Status.OOM, Status.KILLED)  # what exit code 3 stands for


def summary(path: Path, page: Path | None, records: Sequence[Record], *, as_json: bool) -> int:
    """Print what came out; the exit code is 3 where points failed."""
    counts = Counter(record.status for record in records)
    failed = sum(counts[status] for status in BAD)
    if as_json:
        emit({"run": str(path), "page": str(page) if page else None, "records": [r.to_json() for r in records]})
    else:
        print_table(records)
    for line in missing(records)[:REASONS_SHOWN]:
        note(line)
    note(", ".join(f"{count} {status}" for status, count in sorted(counts.items())))
    if (kept := forecasts_kept(records)) is not None:
        note(kept)
    if page:
        note(f"page: {page}")
    note(f"next: {shlex.join(['attnprof', 'report', str(path), '--paper', 'paper'])}")
    return 3 if failed else 0


def forecasts_kept(records: Sequence[Record]) -> str | None:
    """How good the forecasts of times were, where points that had one were measured."""
    judged = [
        forecast.low_s <= record.measured.wall_s.median <= forecast.high_s
        for record in records
        if (forecast := record.forecast) and record.measured and record.measured.wall_s
    ]
    return f"{sum(judged)} of {len(judged)} points took what was predicted of them" if judged else None


def missing(records: Sequence[Record]) -> list[str]:
    """For each target and pass that was not measured at some length: from which on, with what status, and why."""
    first: dict[tuple[str, str, str], Record] = {}
    for record in records:
        if record.status is not Status.OK:
            first.setdefault((record.point.target, record.point.pass_, record.status), record)
    return [
        f"{name} {pass_}: {status} from n={format_length(record.point.shape.n)} on: "
        f"{record.reasons.get('measured') or record.reasons.get('cost') or 'no reason was given'}"
        for (name, pass_, status), record in first.items()
    ]


def print_table(records: Sequence[Record]) -> None:
    """A table on standard output: one row a target and pass, the longest length that was measured."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title="at the longest length with a measurement (n), else at the longest")
    for column in ("target", "pass", "n", "status there", "executed", "executed/useful", "peak", "wall"):
        table.add_column(column, justify="left" if column in ("target", "pass") else "right")
    for record in longest(records):
        table.add_row(*(escape(printable(cell, sys.stdout)) for cell in row(record)))
    Console(width=None if sys.stdout.isatty() else 120).print(table)


def longest(records: Sequence[Record]) -> list[Record]:
    """For each target and pass the measured record of the longest sequence, or the longest of all."""
    best: dict[tuple[str, str], Record] = {}
    for record in records:
        at = (record.point.target, record.point.pass_)
        rank = (record.measured is not None, record.point.shape.n)
        if at not in best or rank > (best[at].measured is not None, best[at].point.shape.n):
            best[at] = record
    return list(best.values())


def row(record: Record) -> list[str]:
    """The cells of a record."""
    cost, measured, point = record.cost, record.measured, record.point
    executed = cost.flops_executed if cost else None
    core, useful = (cost.flops_core_executed, cost.flops_core_useful) if cost else (None, None)
    share = f"{core / useful:.2f}" if core and useful else "-"
    peak = (measured and measured.peak_bytes) or (cost and cost.peak_bytes)
    wall = format_seconds(measured.wall_s.median) if measured and measured.wall_s else "-"
    return [
        point.target,
        point.pass_,
        format_length(point.shape.n),
        record.status,
        format_flops(executed) if executed is not None else "-",
        share,
        format_bytes(peak) if peak else "-",
        wall,
    ]
