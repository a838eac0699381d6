"""What a sweep ends with: a table, what is missing and why, what the page says first, the page, a next command."""

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


def summary(
    path: Path, page: Path | None, records: Sequence[Record], graphs: Sequence[Record], *, as_json: bool
) -> int:
    """Print what came out; the exit code is 3 where points failed."""
    from attnprof.render.claims.first import first_claims

    claims = first_claims([*records, *graphs])
    counts = Counter(record.status for record in records)
    failed = sum(counts[status] for status in BAD)
    if as_json:
        rows = [record.to_json() for record in records]
        emit({"run": str(path), "page": str(page) if page else None, "claims": claims, "records": rows})
    else:
        print_table(records)
    for line in missing(records)[:REASONS_SHOWN]:
        note(line)
    note(", ".join(f"{count} {status}" for status, count in sorted(counts.items())))
    if (kept := forecasts_kept(records)) is not None:
        note(kept)
    for claim in claims:
        note(claim)
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
    """For each target and pass that was not measured at some length: from which on, with what status, and why.

    The mask is named where a target has both.
    """
    first: dict[tuple[str, str, str, str], Record] = {}
    masks = {(record.point.target, record.point.pass_, mask(record)) for record in records}
    several = Counter((name, pass_) for name, pass_, _ in masks)
    for record in records:
        point = record.point
        under = f" {mask(record)}" if several[point.target, point.pass_] > 1 else ""
        if record.status is not Status.OK:
            first.setdefault((point.target, point.pass_, under, record.status), record)
    return [
        f"{name} {pass_}{under}: {status} from n={format_length(record.point.shape.n)} on: "
        f"{record.reasons.get('measured') or record.reasons.get('cost') or 'no reason was given'}"
        for (name, pass_, under, status), record in first.items()
    ]


def mask(record: Record) -> str:
    """The mask of a point in words; `-` where nothing of a user's code takes it."""
    if "causal" in record.point.unknown:
        return "-"
    return "causal" if record.point.shape.causal else "bidirectional"


def print_table(records: Sequence[Record]) -> None:
    """A table on standard output: one row a target, pass and mask, the longest length that was measured."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title="at the longest length with a measurement (n), else at the longest")
    for column in ("target", "pass", "mask", "n", "status there", "executed", "executed/useful", "peak", "wall"):
        table.add_column(column, justify="left" if column in ("target", "pass", "mask") else "right")
    for record in longest(records):
        table.add_row(*(escape(printable(cell, sys.stdout)) for cell in row(record)))
    Console(width=None if sys.stdout.isatty() else 120).print(table)


def longest(records: Sequence[Record]) -> list[Record]:
    """For each target, pass and mask the measured record of the longest sequence, or the longest of all."""
    best: dict[tuple[str, str, bool], Record] = {}
    for record in records:
        at = (record.point.target, record.point.pass_, record.point.shape.causal)
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
        mask(record),
        format_length(point.shape.n),
        record.status,
        format_flops(executed) if executed is not None else "-",
        share,
        format_bytes(peak) if peak else "-",
        wall,
    ]
