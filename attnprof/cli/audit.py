"""`attnprof audit`: what the installed FLOP counters say of a target."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from attnprof.cli.asked import asked_shape, asked_target, refuse_untaken
from attnprof.cli.of_model import of_models
from attnprof.cli.options import ARGUMENTS, AS_JSON, IMPL, SETTINGS, emit, explicit, sizes
from attnprof.errors import AttnprofError
from attnprof.units import format_flops, format_length, parse_length

if TYPE_CHECKING:
    from attnprof.plan.auditing import Audit

EXAMPLES = """\b
Examples:
  attnprof audit flash                 who counts fused attention as nothing
  attnprof audit longformer -n 2k --json
  attnprof audit my_model.py:Layer --arg width=256
  attnprof audit hf:gpt_oss_20b --frameworks --lengths 8k,128k   what training frameworks' formulas say
"""


@click.command(epilog=EXAMPLES)
@click.argument("target")
@click.option("-n", "--n", "length", default="1k", show_default=True, help="Length; the counters run on real tensors.")
@click.option("--frameworks", is_flag=True, help="hf: the formulas of training and serving frameworks.")
@click.option("--lengths", default="8k,128k", show_default=True, help="hf: lengths, with --frameworks.")
@IMPL
@sizes
@SETTINGS
@ARGUMENTS
@AS_JSON
def command(**options: Any) -> int:
    """Run every installed FLOP counter on TARGET beside the exact count, and explain each disagreement.

    Known counters: fvcore, torch's FlopCounterMode, DeepSpeed, calflops, ptflops, thop, torchinfo, torchprofile. All
    figures are FLOPs with a multiply-add as 2; those of counters that report multiply-adds are doubled.
    """
    if of_models((options["target"],)):
        from attnprof.cli import of_model

        return of_model.audit(options)
    if options["frameworks"]:
        raise AttnprofError(
            f"frameworks' formulas are of whole models, not of {options['target']}",
            hint="attnprof audit hf:gpt_oss_20b --frameworks",
        )
    from attnprof.plan.auditing import audited

    refuse_untaken((options["target"],), {**options, "explicit": explicit()})
    target = asked_target(options["target"], options)
    shape = asked_shape(target, parse_length(options["length"]), options)
    audit = audited(target, shape)
    if options["as_json"]:
        emit({"target": target.name, "n": shape.n, "exact": audit.exact, "rows": audit.rows, "absent": audit.absent})
    else:
        say(target.name, shape.n, audit)
    return 0


def say(name: str, n: int, audit: Audit) -> None:
    """The table on standard output, exact count first."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{name} at n={format_length(n)}: FLOPs, multiply-add = 2")
    for column, justify in (("counter", "left"), ("version", "left"), ("forward", "right"), ("train", "right")):
        table.add_column(column, justify="right" if justify == "right" else "left")
    table.add_column("verdict")
    table.add_row("attnprof (exact)", "", *(format_flops(audit.exact[p]) for p in ("forward", "train")), "")
    for row in audit.rows:
        figures = ("-" if v is None else format_flops(v) for v in (row.forward, row.train))
        table.add_row(row.counter, row.version, *figures, f"{row.status}: {row.why}" if row.why else row.status)
    console = Console(width=None if sys.stdout.isatty() else 140, highlight=False)
    console.print(table)
    if audit.absent:
        console.print(f"not installed: {', '.join(audit.absent)}", style="dim")
