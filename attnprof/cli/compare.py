"""`attnprof compare`: two runs, point by point."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from attnprof.cli.options import AS_JSON, WordParam, emit, note
from attnprof.comparison import Compared, Comparison, Verdict, compare_runs
from attnprof.errors import AttnprofError
from attnprof.interval import Interval
from attnprof.records import JsonObject, plain
from attnprof.store import RunFolder, machine_of
from attnprof.units import format_length, format_seconds
from attnprof.words import Timing

if TYPE_CHECKING:
    from attnprof.records import Point

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
    help="Ratios within a factor of 1 + this are the same. Default: 0.05, or the machine's own noise if more.",
)
@click.option(
    "--across-machines",
    is_flag=True,
    help="Compare even where processor, device, threads, settings or software differ.",
)
@click.option(
    "--remeasure", is_flag=True, help="Measure both once more, in turns, into new folders, and compare those."
)
@AS_JSON
def command(
    a: Path, b: Path, metric: Timing, tolerance: float | None, across_machines: bool, remeasure: bool, as_json: bool
) -> int:
    """Is run B faster or slower than run A? SAME, FASTER, SLOWER or AMBIGUOUS for each point that both measured.

    A verdict takes three rounds on either side and no flag (busy machine, throttled, ...); it is that of the whole 95%
    interval of the ratio against the tolerance, corrected for the number of points. Exit code 4 if any point is SLOWER,
    or was measured in A and fails or runs out of memory in B.
    """
    if remeasure:
        from attnprof.sweeps.remeasure import interleaved

        a, b = interleaved(a, b, note)
    first, second = RunFolder.open(a), RunFolder.open(b)
    if not across_machines:
        refuse_other_machine(first.header, second.header)
    drift = drifted(first.header, second.header)
    found = compare_runs(first.written(), second.written(), metric, tolerance, drift)
    for text in found.refused:
        note(f"not compared: {text}")
    if any(found.unmatched):
        note(f"points in A only: {found.unmatched[0]}; in B only: {found.unmatched[1]}")
    if as_json:
        emit(as_data(found, metric))
    else:
        show(found)
    return 4 if found.regressed else 0


def drifted(a: JsonObject, b: JsonObject) -> float:
    """The factor, less 1, by which the same matrix product and copy took longer in one run than in the other."""
    sides = [[y for y in header.get("yardsticks") or [header.get("calibration")] if y] for header in (a, b)]
    if not all(sides):
        return 0.0
    apart = [
        abs(math.log(statistics.median(y[name] for y in sides[0]) / statistics.median(y[name] for y in sides[1])))
        for name in ("matmul_flops_per_s", "copy_bytes_per_s")
    ]
    return math.expm1(max(apart))


def refuse_other_machine(a: Mapping[str, object], b: Mapping[str, object]) -> None:
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
    """What came out as a whole, then one line a point, the largest difference first."""
    for text in headlines(found):
        click.echo(text)
    width = max([len(row.point.target) for row in found.rows] + [6])
    for record in found.broken:
        why = record.reasons.get("measured", record.status)
        click.echo(f"{name_of(record.point, width)}  {record.status.upper()} now: {why}")
    for row in by_size(found):
        click.echo(line(row, width))


def headlines(found: Comparison) -> list[str]:
    """The verdicts counted, the mean of the ratios, and what was let pass."""
    verdicts = Counter([row.verdict.value for row in found.rows] + ["BROKEN"] * len(found.broken))
    order = ("BROKEN", "SLOWER", "FASTER", "SAME", "AMBIGUOUS")
    lines = [", ".join(f"{verdicts[v]} {v}" for v in order if verdicts[v]) + f" of {verdicts.total()} points"]
    if (typical := found.typical) is not None:
        lines.append(f"on average {times(typical)} (geometric mean over the points without a flag that forbids it)")
    heard = found.noise
    apart = f"{heard.deviation:.1%} from process to process" if heard.freedom else "not known: no point has two rounds"
    lines.append(f"within {found.tolerance:.1%} counts as the same; noise: {apart}")
    return lines


def by_size(found: Comparison) -> list[Compared]:
    """The rows, those with a verdict first, in each the largest difference first."""

    def rank(row: Compared) -> tuple[bool, float]:
        size = abs(math.log(row.ratio.median)) if row.ratio.median > 0 else 0.0
        return row.verdict is Verdict.AMBIGUOUS, -size

    return sorted(found.rows, key=rank)


def line(row: Compared, width: int) -> str:
    """A point as text: intervals of both, the ratio and the verdict, and why there is none."""
    sides = f"{seconds(row.a)} -> {seconds(row.b)}"
    why = f": {row.why}" if row.why else ""
    return f"{name_of(row.point, width)}  {sides:<60}  {times(row.ratio):<24}  {row.verdict.value}{why}"


def times(ratio: Interval) -> str:
    """A factor with its bounds, in three digits."""
    return f"x{ratio.median:.3g} " + (f"[{ratio.low:.3g}, {ratio.high:.3g}]" if ratio.bounded else "(no interval)")


def name_of(point: Point, width: int) -> str:
    """What tells a point apart in a table."""
    causal = "causal" if point.shape.causal else ""
    return f"{point.target:<{width}}  {point.pass_:<7}  {causal:<6}  n={format_length(point.shape.n):>5}"


def seconds(found: Interval) -> str:
    """A median with its bounds."""
    held = f" [{format_seconds(found.low)}, {format_seconds(found.high)}]" if found.bounded else ""
    return format_seconds(found.median) + held


def bounds(found: Interval) -> dict[str, float | None]:
    """An interval without its samples; null for ends that are not known."""
    low, high = (found.low, found.high) if found.bounded else (None, None)
    return {"median": found.median, "low": low, "high": high}


def as_data(found: Comparison, metric: str) -> dict[str, object]:
    """The comparison as one JSON object."""
    rows = [
        {
            "point": row.point.to_json(),
            "a": bounds(row.a),
            "b": bounds(row.b),
            "ratio": bounds(row.ratio) if row.ratio.median > 0 else None,
            "verdict": row.verdict.value,
            "p": row.p,
            "why": row.why,
            "flags": list(row.flags),
        }
        for row in by_size(found)
    ]
    return {
        "metric": metric,
        "tolerance": found.tolerance,
        "noise": plain(found.noise),
        "geometric_mean": None if found.typical is None else bounds(found.typical),
        "regressed": found.regressed,
        "points": rows,
        "broken": [{"point": r.point.to_json(), "status": r.status, "reasons": r.reasons} for r in found.broken],
        "refused": found.refused,
        "only_in_a": found.unmatched[0],
        "only_in_b": found.unmatched[1],
    }
