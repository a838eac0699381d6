"""`attnprof doctor`: what is amiss on this machine, and its fix."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from attnprof.cli.options import AS_JSON, OUT, WordParam, emit
from attnprof.words import DeviceName

if TYPE_CHECKING:
    from attnprof.measure.fitness import FitnessFinding

MARKS = {"ok": ("ok   ", "green"), "note": ("note ", "yellow"), "unfit": ("UNFIT", "red")}
UNFIT = 5


@click.command()
@click.option(
    "--device",
    type=WordParam(DeviceName, without=(DeviceName.NONE,)),
    default="auto",
    show_default=True,
    help="To measure on.",
)
@OUT
@AS_JSON
def command(device: DeviceName, out: Path | None, as_json: bool) -> int:
    """Look at torch, the processor, memory, the accelerator and its sensors, the folder for runs, optional programs.

    A note may cost precision; UNFIT means that nothing can be measured, and makes the exit code 5.
    """
    from attnprof.device import device_named
    from attnprof.measure.fitness import findings

    chosen = device_named(device)
    found = findings(chosen, out or Path("attnprof-runs"))
    fit = all(finding.grade != "unfit" for finding in found)
    if as_json:
        emit({"device": chosen.name, "fit": fit, "findings": found})
    else:
        show(found)
    return 0 if fit else UNFIT


def show(found: Sequence[FitnessFinding]) -> None:
    """One line a finding, its fix in the same line."""
    width = max(len(finding.subject) for finding in found)
    for finding in found:
        click.echo(line(finding, width))
    grades = {finding.grade for finding in found}
    verdict = "unfit" if "unfit" in grades else "fit"
    notes = ", with notes" if "note" in grades else ""
    click.echo(f"this machine is {verdict} to measure on{notes}")


def line(finding: FitnessFinding, width: int) -> str:
    """A finding as text."""
    mark, colour = MARKS[finding.grade]
    fix = f"  -> {finding.fix}" if finding.fix else ""
    return f"{click.style(mark, fg=colour)}  {finding.subject:<{width}}  {finding.text}{fix}"
