"""`attnprof sweep`: cost schemes at many lengths."""

from __future__ import annotations

import contextlib
import random
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from attnprof import __version__
from attnprof.cli import signals
from attnprof.cli.around import arguments, refuse_another, surrounding, yardstick
from attnprof.cli.of_model import refuse_models
from attnprof.cli.options import (
    ARGUMENTS,
    AS_JSON,
    IMPL,
    OUT,
    PASSES,
    SETTINGS,
    Options,
    WordParam,
    emit,
    explicit,
    note,
    sizes,
    usage_of,
)
from attnprof.cli.progress import Progress
from attnprof.cli.summary import summary
from attnprof.errors import AttnprofError
from attnprof.records import Record, content_hash, plain
from attnprof.shapes import Shape
from attnprof.targets.usage import settings_by_owner
from attnprof.units import format_length, parse_duration, parse_lengths
from attnprof.words import DeviceName, DType, Executor, Preset, RecordKind

if TYPE_CHECKING:
    from attnprof.store import RunFolder
    from attnprof.sweeps.outlook import Budget
    from attnprof.sweeps.points import SweepRequest, TargetPoints

FEW, FEW_S, MANY_S = 3, 120.0, 600.0
PAGE_EVERY_S = 60.0
POSITIVE = click.FloatRange(min=0, min_open=True)

EXAMPLES = """\b
Examples:
  attnprof sweep --lengths 1k-64k                         every scheme, 1k to 64k, doubling
  attnprof sweep longformer flash --lengths 1k-8k         two schemes, two minutes
  attnprof sweep my_pattern.py dense --lengths 1k,3k,10k  your own pattern beside the baseline
  attnprof sweep longformer --set window=256 --causal     another window, causal
  attnprof sweep --lengths 1k-64k --time 1h               an hour of it; the same again goes on
  attnprof sweep --lengths 1k-1m --device none            static cost only: nothing is run
"""


@click.command(epilog=EXAMPLES)
@click.argument("targets", nargs=-1, metavar="[TARGET]...")
@click.option(
    "--lengths",
    default="1k-64k",
    show_default=True,
    help="1k, 1k-64k (doubling), 1k-64k:x4, 1k-64k:+8k, 1k,3k,10k; 1k = 1024.",
)
@PASSES
@IMPL
@click.option(
    "--device",
    type=WordParam(DeviceName),
    default="auto",
    show_default=True,
    help="To measure on; none counts, runs nothing.",
)
@click.option("--tokens", help="Tokens in a batch, e.g. 16k: the batch is tokens / n, in place of --batch.")
@click.option("--both-masks", is_flag=True, help="Causal and not, what has both forms; in place of --causal.")
@click.option("--preset", type=WordParam(Preset), help="What practitioners set by length (no exponent is fitted).")
@click.option(
    "--time",
    "time_",
    metavar="10m",
    help="For the whole run: 90s, 10m, 2h. Default: 10m, or 2m for up to three targets. Given again, it adds.",
)
@click.option("--rounds", type=click.IntRange(min=1), help="The most rounds of a point. Default: 10.")
@click.option("--time-budget", type=POSITIVE, hidden=True, help="Seconds to sample a point for in each round.")
@click.option("--timeout", metavar="60s", help="Until a child that does not answer is given up. Default: by --time.")
@click.option("--jobs", type=int, help="Children at once, with --device none. Default: one a core.")
@click.option("--on", "executor", type=WordParam(Executor), help="Where to run: one submitit job a target.")
@click.option("--job-option", "job_options", multiple=True, metavar="KEY=VALUE", help="Handed to submitit, with --on.")
@click.option("--dry-run", is_flag=True, help="Show the plan and what it must spend; run nothing.")
@click.option("--fresh", is_flag=True, help="Measure everything again in a new folder; nothing is deleted.")
@click.option("--no-page", is_flag=True, help="Leave records, write no page.")
@sizes
@SETTINGS
@ARGUMENTS
@OUT
@AS_JSON
def command(**options: Any) -> int:
    """Cost TARGETs (default: every scheme) at many lengths: FLOPs, memory and wall time, forward and train.

    Leaves a folder with run.json, records-*.jsonl and report.html. The same command again resumes where it stopped.
    """
    began = time.monotonic()
    ask = asked(options)
    limits = budget(options, ask)
    note(f"planning {', '.join(ask.targets) or 'every scheme that can be costed'}")
    jobs = planned(ask, limits.timeout_s)
    lengths = ask.lengths
    shown = ", ".join(map(format_length, lengths[:12])) + (", ..." if len(lengths) > 12 else "")
    points = sum(len(job.points) for job in jobs)
    note(f"{len(jobs)} targets, {len(lengths)} lengths ({shown}), {points} points on {ask.device}")
    if options["dry_run"]:
        return dry_run(jobs, as_json=options["as_json"])
    with signals.orderly():
        return carry_out(options, ask, jobs, limits, began)


def budget(options: Options, ask: SweepRequest) -> Budget:
    """What the run may spend."""
    from attnprof.stats import ROUNDS
    from attnprof.sweeps.outlook import MOST_ROUNDS, Budget

    few = 0 < len(ask.targets) <= FEW
    total = parse_duration(options["time_"]) if options["time_"] else FEW_S if few else MANY_S
    timeout = parse_duration(options["timeout"]) if options["timeout"] else min(600.0, max(120.0, total / 4))
    rounds = options["rounds"] or (ROUNDS if options["time_budget"] else MOST_ROUNDS)
    return Budget(total, options["time_budget"], timeout, rounds)


def planned(ask: SweepRequest, timeout_s: float) -> Sequence[TargetPoints]:
    """The jobs; of code that is not ours, as a child finds them: nothing of it runs in this process."""
    from attnprof.sweeps.planning import plan_apart
    from attnprof.sweeps.points import plan
    from attnprof.targets import catalog

    own = [*ask.targets, *([ask.impl] if ask.impl and ask.impl.endswith(".py") else [])]
    if all(name in catalog.names() for name in own):
        return plan(ask, explicit())
    return plan_apart(ask, explicit(), timeout_s)


def asked(options: Options) -> SweepRequest:
    """What the command line asks for."""
    from attnprof.device import available, device_named
    from attnprof.sweeps.points import SweepRequest, settings_of
    from attnprof.targets import door

    targets = tuple(options["targets"])
    refuse_models(targets)
    for name in targets:
        door.refuse_unknown(name)
    device = available(options["device"])
    dtype = options["dtype"] or (DType.FLOAT32 if device is DeviceName.NONE else device_named(device).dtype)
    names = ("batch", "dim", "heads", "kv_heads", "head_dim", "v_head_dim", "m", "level", "depth", "seed")
    lengths = parse_lengths(options["lengths"])
    return SweepRequest(
        lengths=lengths,
        targets=targets,
        shape=Shape(n=lengths[0], dtype=dtype, **{name: options[name] for name in names}),
        causal=options["causal"],
        both_masks=options["both_masks"],
        passes=options["passes"],
        impl=options["impl"],
        device=device,
        tokens=parse_lengths(options["tokens"])[0] if options["tokens"] else None,
        settings=settings_of(options["settings"], targets),
        usage=usage_of(options, targets),
        preset=options["preset"],
    )


def carry_out(options: Options, ask: SweepRequest, jobs: Sequence[TargetPoints], limits: Budget, began: float) -> int:
    """Run the sweep into its folder, then print the table, the page's path and a next command."""
    with opened(options, ask, jobs) as run:
        note(f"run: {run.path}")
        known = {planned.key for job in jobs for planned in job.points}
        left = len(known - run.keys())
        for notice in run.notices:
            note(notice)
        if left < len(known):
            note(f"resuming: {len(known) - left} of {len(known)} points are done")
        page = Page(run, known, wanted=not options["no_page"])
        stopped, early = False, list[str]()
        try:
            with Progress(left, limits.total_s, began, seen=known & run.keys()) as progress:
                early = do(options, ask, jobs, run, limits, began, progress, page)
        except KeyboardInterrupt:
            stopped = True
            note("interrupted: what is finished is kept")
        held = {record.key: record for record in run.records()}
        keys = dict.fromkeys(planned.key for job in jobs for planned in job.points)
        records = [held[key] for key in keys if key in held]  # in the order of the plan, not of the visits
        graphs = [record for record in held.values() if record.kind is RecordKind.GRAPH]
        path = page.write()
    code = summary(run.path, path, records, graphs, as_json=options["as_json"])
    for text in early:
        note(f"a job ended early: {text}")
    if early:
        note(f"their logs: {run.path / 'jobs' / 'logs'}")
        code = code or 3
    if stopped or early:
        note(f"the same command goes on: {shlex.join(['attnprof', *arguments()])}")
    return 130 if stopped else code


class Page:
    """The page of a run: written after the first round, then now and then, and at the end."""

    def __init__(self, run: RunFolder, known: set[str], *, wanted: bool) -> None:
        self.run, self.known, self.wanted = run, known, wanted
        self.last: float | None = None

    def refresh(self) -> None:
        """Write it, unless it was written a moment ago."""
        if self.last is None or time.monotonic() - self.last > PAGE_EVERY_S:
            self.write()

    def write(self) -> Path | None:
        """Write it as things stand; None where none is wanted."""
        if not self.wanted:
            return None
        every = self.run.written()
        names = {record.point.target for record in every if record.key in self.known}
        graphs = [record for record in every if record.kind is RecordKind.GRAPH and record.point.target in names]
        path = write_page(self.run, [record for record in every if record.key in self.known] + graphs)
        self.last = time.monotonic()
        return path


def do(
    options: Options,
    ask: SweepRequest,
    jobs: Sequence[TargetPoints],
    run: RunFolder,
    limits: Budget,
    began: float,
    progress: Progress,
    page: Page,
) -> list[str]:
    """Do the points: here, or as jobs of a cluster. Returns a line for each job that ended early."""
    from attnprof.machine import usable_cores
    from attnprof.sweeps import neighbours
    from attnprof.sweeps.cluster import submit
    from attnprof.sweeps.run import Surroundings, sweep
    from attnprof.sweeps.worker import has_server

    static = ask.device is DeviceName.NONE
    if not has_server():
        note("this system cannot fork: each child is a process that loads torch itself, which takes some seconds")
    if options["executor"]:
        given = settings_by_owner(options["job_options"])
        return submit(
            jobs,
            run,
            limits,
            progress.watch,
            executor=options["executor"],
            options=given,
            static=static,
            graphs=page.wanted,
        )
    if (options["jobs"] or 1) > 1 and not static:
        raise AttnprofError(
            "points that are timed side by side disturb each other", hint="--jobs goes with --device none, or use --on"
        )
    with contextlib.nullcontext(lambda: False) if static else neighbours.measuring() as beside:
        given_ = Surroundings(
            progress.watch,
            began=began,
            page=page.refresh,
            yardstick=lambda: yardstick(ask.device),
            beside=beside,
            told=note,
            round_ended=progress.round_ended,
            graphs=page.wanted,
        )
        sweep(
            jobs, run, limits, given_, static=static, abreast=options["jobs"] or usable_cores(), seed=run.header["seed"]
        )
    return []


def opened(options: Options, ask: SweepRequest, jobs: Sequence[TargetPoints]) -> RunFolder:
    """The run's folder: that of the same plan before, or a new one; with --fresh always a new one.

    A run may grow (other lengths, more targets), but not mix two environments or two kinds of point.
    """
    from attnprof.store import HEADER, RunFolder

    name = content_hash(ask.to_json())
    path = options["out"] or Path("attnprof-runs") / name
    while options["fresh"] and (path / HEADER).exists():
        stem, _, count = path.name.partition("-fresh")
        path = path.with_name(f"{stem}-fresh{int(count or 0) + 1}")
    around = surrounding(ask.device, calibrate=not (path / HEADER).exists())
    if not around["ok"]:
        raise AttnprofError(around["message"], hint=around["hint"])
    cards = {job.name: plain(job.card) for job in jobs}
    if (path / HEADER).exists():
        run = RunFolder.open(path)
        refuse_another(run, ask, around["environment"])
        run.lock()
        grown = {**(run.header.get("cards") or {}), **cards}
        if grown != run.header.get("cards") or run.header.get("plan") != plain(ask.to_json()):
            run.amend(cards=grown, plan=ask.to_json(), command=shlex.join(["attnprof", *arguments()]))
        return run
    header = {
        "version": __version__,
        "cards": cards,
        "command": shlex.join(["attnprof", *arguments()]),
        "executable": sys.executable,
        "folder": str(Path.cwd()),
        "plan": ask.to_json(),
        "seed": random.SystemRandom().randrange(2**31),
        "environment": around["environment"],
        "calibration": around["calibration"],
    }
    return RunFolder.create(path, header).lock()


def write_page(run: RunFolder, records: Sequence[Record]) -> Path:
    """The page of a run, in its folder."""
    from attnprof.render.page import write_page as write
    from attnprof.render.patterns import catalogue_pictures

    page: Path = run.path / "report.html"
    write(page, records, run.header, picture=catalogue_pictures(records))
    return page


def dry_run(jobs: Sequence[TargetPoints], *, as_json: bool) -> int:
    """Print the points that the sweep would do."""
    rows = [{"key": planned.key, **planned.point.to_json()} for job in jobs for planned in job.points]
    if as_json:
        emit({"points": rows})
        return 0
    for at in rows:
        click.echo(f"{at['target']:20} {at['pass']:8} n={format_length(at['n']):>5} {at['impl'] or ''}")
    return 0
