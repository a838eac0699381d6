"""`attnprof compare`: two runs, point by point."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from attnprof.cli.options import AS_JSON, WordParam, emit, notes
from attnprof.errors import AttnprofError
from attnprof.records import Interval
from attnprof.stats import Compared, Comparison, compare_runs
from attnprof.store import RunFolder, machine_of
from attnprof.units import format_length, format_seconds
from attnprof.words import Timing

EXAMPLES = """\b
Examples:
  attnprof compare attnprof-runs/before attnprof-runs/after
  attnprof compare A B --metric backward_s --tolerance 0.1
"""


@click.command(epilog=EXAMPLES)
@click.argument("a", type=click.Path(path_type=Path))
@click.argument("b", type=click.Path(path_type=Path))
@click.option(
    "--metric",
    type=WordParam(Timing),
    default="wall_s",
    show_default=True,
    help="The measured seconds to compare.",
)
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0, min_open=True),
    default=0.05,
    show_default=True,
    help="Ratios within a factor of 1 + this count as the same.",
)
@click.option(
    "--across-machines",
    is_flag=True,
    help="Compare even where processor, device, threads, settings or software differ.",
)
@AS_JSON
def command(a: Path, b: Path, metric: Timing, tolerance: float, across_machines: bool, as_json: bool) -> int:
    """Is run B faster or slower than run A? SAME, FASTER, SLOWER or AMBIGUOUS for each point that both measured.

    The verdict is that of the whole 95% interval of the ratio; where it lies across the tolerance it is AMBIGUOUS. Exit
    code 4 if any point is SLOWER, or was measured in A and fails or runs out of memory in B.
    """
    first, second = RunFolder.open(a), RunFolder.open(b)
    if not across_machines:
        refuse_other_machine(first.header, second.header)
    found = compare_runs(first.records(), second.records(), metric, tolerance)
    console = notes()
    for text in found.refused:
        console.print(f"not compared: {text}", markup=False, soft_wrap=True)
    if any(found.unmatched):
        console.print(f"points in A only: {found.unmatched[0]}; in B only: {found.unmatched[1]}")
    if as_json:
        emit(as_data(found, metric, tolerance))
    else:
        show(found)
    return 4 if found.regressed else 0


def refuse_other_machine(a: Mapping[str, Any], b: Mapping[str, Any]) -> None:
    """Raise `AttnprofError` where the two runs say that they were measured on different machines."""
    ours, theirs = machine_of(a), machine_of(b)
    differing = [name for name in sorted(ours | theirs) if ours.get(name) != theirs.get(name)]
    if differing:
        what = "; ".join(f"{name} {ours.get(name)} and {theirs.get(name)}" for name in differing)
        raise AttnprofError(
            f"the runs were measured on different machines: {what}",
            hint="measure both on one machine, or add --across-machines",
        )


def show(found: Comparison) -> None:
    """One line a point, and one that counts the verdicts."""
    width = max([len(row.point.target) for row in found.rows] + [6])
    for row in found.rows:
        click.echo(line(row, width))
    for record in found.broken:
        why = record.reasons.get("measured", record.status)
        click.echo(f"{name_of(record.point, width)}  {record.status.upper()} now: {why}")
    verdicts = [row.verdict.value for row in found.rows] + ["BROKEN"] * len(found.broken)
    click.echo(", ".join(f"{verdicts.count(v)} {v}" for v in dict.fromkeys(verdicts)))


def line(row: Compared, width: int) -> str:
    """A point as text: intervals of both, the ratio and the verdict."""
    sides = f"{seconds(row.a)} -> {seconds(row.b)}"
    times = f"x{row.ratio.median:.2f} [{row.ratio.low:.2f}, {row.ratio.high:.2f}]"
    return f"{name_of(row.point, width)}  {sides:<60}  {times:<20}  {row.verdict.value}"


def name_of(point: Any, width: int) -> str:
    """What tells a point apart in a table."""
    causal = "causal" if point.shape.causal else ""
    return f"{point.target:<{width}}  {point.pass_:<7}  {causal:<6}  n={format_length(point.shape.n):>5}"


def seconds(found: Interval) -> str:
    """A median with its bounds."""
    return f"{format_seconds(found.median)} [{format_seconds(found.low)}, {format_seconds(found.high)}]"


def bounds(found: Interval) -> dict[str, float]:
    """An interval without its samples."""
    return {"median": found.median, "low": found.low, "high": found.high}


def as_data(found: Comparison, metric: str, tolerance: float) -> dict[str, Any]:
    """The comparison as one JSON object."""
    rows = [
        {
            "point": row.point.to_json(),
            "a": bounds(row.a),
            "b": bounds(row.b),
            "ratio": bounds(row.ratio),
            "verdict": row.verdict.value,
        }
        for row in found.rows
    ]
    return {
        "metric": metric,
        "tolerance": tolerance,
        "regressed": found.regressed,
        "points": rows,
        "broken": [{"point": r.point.to_json(), "status": r.status, "reasons": r.reasons} for r in found.broken],
        "refused": found.refused,
        "only_in_a": found.unmatched[0],
        "only_in_b": found.unmatched[1],
    }
