"""`attnprof sweep`: cost schemes at many lengths."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from attnprof import __version__
from attnprof.cli.of_model import refuse_models
from attnprof.cli.options import (
    ARGUMENTS,
    AS_JSON,
    IMPL,
    OUT,
    PASSES,
    SETTINGS,
    WordParam,
    emit,
    explicit,
    notes,
    sizes,
    usage_of,
)
from attnprof.cli.progress import Progress
from attnprof.cli.summary import summary
from attnprof.errors import AttnprofError
from attnprof.records import Record, content_hash, plain
from attnprof.shapes import Shape
from attnprof.targets.usage import settings_by_owner
from attnprof.units import format_length, parse_lengths
from attnprof.words import DeviceName, DType, Executor, Preset, RecordKind

EXAMPLES = """\b
Examples:
  attnprof sweep --lengths 1k-64k                         every scheme, 1k to 64k, doubling
  attnprof sweep longformer flash --lengths 1k-8k         two schemes, half a minute
  attnprof sweep my_pattern.py dense --lengths 1k,3k,10k  your own pattern beside the baseline
  attnprof sweep longformer --set window=256 --causal     another window, causal
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
@click.option("--preset", type=WordParam(Preset), help="What practitioners set by length (no exponent is fitted).")
@click.option("--time-budget", type=float, help="Seconds to sample a point. Default: 2 on a CPU.")
@click.option("--timeout", type=float, default=600.0, show_default=True, help="Seconds until a point is given up.")
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
    from attnprof.sweeps.points import plan

    ask = asked(options)
    jobs = plan(ask, explicit())
    console = notes()
    lengths = ask.lengths
    shown = ", ".join(map(format_length, lengths[:12])) + (", ..." if len(lengths) > 12 else "")
    points = sum(len(job.points) for job in jobs)
    console.print(f"{len(jobs)} targets, {len(lengths)} lengths ({shown}), {points} points on {ask.device}")
    if options["dry_run"]:
        return dry_run(jobs, as_json=options["as_json"])
    return carry_out(options, ask, jobs)


def asked(options: Mapping[str, Any]) -> Any:
    """What the command line asks for."""
    from attnprof.device import available, device_named
    from attnprof.sweeps.points import SweepRequest, settings_of

    targets = tuple(options["targets"])
    refuse_models(targets)
    device = available(options["device"])
    dtype = options["dtype"] or (DType.FLOAT32 if device is DeviceName.NONE else device_named(device).dtype)
    names = ("batch", "dim", "heads", "kv_heads", "head_dim", "v_head_dim", "m", "level", "depth", "seed")
    lengths = parse_lengths(options["lengths"])
    return SweepRequest(
        lengths=lengths,
        targets=targets,
        shape=Shape(n=lengths[0], dtype=dtype, **{name: options[name] for name in names}),
        causal=options["causal"],
        passes=options["passes"],
        impl=options["impl"],
        device=device,
        tokens=parse_lengths(options["tokens"])[0] if options["tokens"] else None,
        settings=settings_of(options["settings"], targets),
        usage=usage_of(options, targets),
        preset=options["preset"],
    )


def carry_out(options: Mapping[str, Any], ask: Any, jobs: Sequence[Any]) -> int:
    """Run the sweep into its folder, then print the table, the page's path and a next command."""
    from attnprof.sweeps.outlook import Budget

    console = notes()
    with opened(options, ask, jobs) as run:
        console.print(f"run: {run.path}")
        known = {planned.key for job in jobs for planned in job.points}
        left = len(known - run.keys())
        for notice in run.notices:
            console.print(notice)
        if left < len(known):
            console.print(f"resuming: {len(known) - left} of {len(known)} points are done")
        seconds = options["time_budget"] or (2.0 if ask.device is DeviceName.CPU else 10.0)
        budget = Budget(seconds=seconds, timeout_s=options["timeout"])
        with Progress(left) as watch:
            do(options, ask, jobs, run, budget, watch)
        records = [record for record in run.records() if record.key in known]
        page = None if options["no_page"] else write_page(run, records + graphs(jobs, run, console))
    return summary(run.path, page, records, as_json=options["as_json"])


def graphs(jobs: Sequence[Any], run: Any, console: Any) -> list[Record]:
    """The graph records of the targets, made where the run has none yet."""
    from attnprof.sweeps.graphs import add_graphs

    with console.status("who can reach whom"):
        add_graphs(jobs, run, console.print)
    names = {job.name for job in jobs}
    return [record for record in run.records() if record.kind is RecordKind.GRAPH and record.point.target in names]


def do(options: Mapping[str, Any], ask: Any, jobs: Sequence[Any], run: Any, budget: Any, watch: Any) -> None:
    """Do the points: here, or as jobs of a cluster."""
    from attnprof.machine import usable_cores
    from attnprof.sweeps.cluster import submit
    from attnprof.sweeps.run import sweep

    static = ask.device is DeviceName.NONE
    if options["executor"]:
        given = settings_by_owner(options["job_options"])
        submit(jobs, run, budget, watch, executor=options["executor"], options=given, static=static)
        return
    if (options["jobs"] or 1) > 1 and not static:
        raise AttnprofError(
            "points that are timed side by side disturb each other", hint="--jobs goes with --device none, or use --on"
        )
    peak = (run.header.get("calibration") or {}).get("matmul_flops_per_s")
    sweep(jobs, run, budget, watch, static=static, peak_flops_per_s=peak, abreast=options["jobs"] or usable_cores())


def opened(options: Mapping[str, Any], ask: Any, jobs: Sequence[Any]) -> Any:
    """The run's folder: that of the same plan before, or a new one; with --fresh always a new one."""
    from attnprof.store import HEADER, RunFolder

    name = content_hash(ask.to_json())
    path = options["out"] or Path("attnprof-runs") / name
    while options["fresh"] and (path / HEADER).exists():
        stem, _, count = path.name.partition("-fresh")
        path = path.with_name(f"{stem}-fresh{int(count or 0) + 1}")
    if (path / HEADER).exists():
        run = RunFolder.open(path)
        if run.header.get("plan_hash") != name:
            raise AttnprofError(f"{path} holds another sweep", hint="choose another --out, or --fresh for a new folder")
        return run.lock()
    header = {
        "version": __version__,
        "cards": {job.name: plain(job.card) for job in jobs},
        "command": " ".join(["attnprof", *sys.argv[1:]]),
        "plan": ask.to_json(),
        "plan_hash": name,
        **surroundings(jobs[0], ask.device),
    }
    return RunFolder.create(path, header).lock()


def surroundings(job: Any, device: DeviceName) -> dict[str, Any]:
    """The machine and its measured peaks, as a child sees them: the parent never loads torch."""
    from attnprof.sweeps.worker import Worker

    static = device is DeviceName.NONE
    request = {"do": "surroundings", "device": DeviceName.CPU if static else device, "calibrate": not static}
    worker = Worker(job)
    try:
        answer = worker.ask(request, timeout_s=120.0)
    finally:
        worker.close()
    if not answer["ok"]:
        raise AttnprofError(answer["message"], hint=answer["hint"])
    return {"environment": answer["environment"], "calibration": answer["calibration"]}


def write_page(run: Any, records: Sequence[Record]) -> Path:
    """The page of a run, in its folder."""
    from attnprof.render.page import write_page as write
    from attnprof.render.patterns import catalogue_pictures

    page = run.path / "report.html"
    write(page, records, run.header, picture=catalogue_pictures(records))
    return page


def dry_run(jobs: Sequence[Any], *, as_json: bool) -> int:
    """Print the points that the sweep would do."""
    rows = [{"key": planned.key, **planned.point.to_json()} for job in jobs for planned in job.points]
    if as_json:
        emit({"points": rows})
        return 0
    for at in rows:
        click.echo(f"{at['target']:20} {at['pass']:8} n={format_length(at['n']):>5} {at['impl'] or ''}")
    return 0
