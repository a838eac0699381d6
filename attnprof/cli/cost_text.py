"""The answers of `attnprof cost` as a reader sees them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from attnprof.cli.cost_groups import show_groups
from attnprof.cli.options import Options
from attnprof.flags import FLAGS, phrase
from attnprof.quantities import RECURRENCE, SELECTION, Unit, costed
from attnprof.records import JsonObject
from attnprof.units import format_bytes, format_count, format_flops, format_length, format_seconds

if TYPE_CHECKING:
    from rich.console import Console

UNKNOWN = "unknown"
OF_SOME = (SELECTION, RECURRENCE)  # columns that are left out where no row has them
WRITTEN: Mapping[Unit, Callable[[float], str]] = {
    Unit.FLOPS: format_flops,
    Unit.OPS: format_count,
    Unit.BYTES: format_bytes,
    Unit.SECONDS: format_seconds,
}
FIGURES = (
    ("forward", "flops_executed", "FLOPs"),
    ("forward", "flops_core_executed", "core FLOPs"),
    ("train", "flops_executed", "FLOPs"),
    ("train", "flops_core_executed", "core FLOPs"),
    ("train", "saved_bytes", "saved bytes"),
)
PARTS = ("parameters", "buffers", "inputs", "grad_output", "saved", "param_gradients", "transient", "workspace")


def show(answer: JsonObject, options: Options) -> None:
    """One target on standard output: closed forms, the table, and what was asked for beside."""
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else 140, highlight=False)
    point = answer["point"]
    known = {name: UNKNOWN if point[name] is None else point[name] for name in ("heads", "kv_heads", "level")}
    fixed = (
        f"b={point['batch']} D={point['dim']} h={known['heads']} g={known['kv_heads']}{widths(point)} {point['dtype']}"
    )
    causal = causality(point["causal"], answer["table"])
    impl = f", by {point['impl']}" if point["impl"] else ""
    console.print(f"[bold]{answer['target']}[/bold]  level {known['level']}, {causal}, {fixed}{impl}")
    if point["call"]:
        console.print(f"  called as {point['call']}", style="dim", markup=False, soft_wrap=True)
    if "closed_forms" in answer:
        show_forms(console, answer, latex=options["latex"])
    if "groups" in answer:
        show_groups(console, answer)
    show_table(console, answer["table"])
    if options["certificate"]:
        show_certificates(console, answer["table"])
    for entry in answer.get("modules", ()):
        show_modules(console, entry)
    if "memory" in answer:
        show_memory(console, answer["memory"])
    if "roofline" in answer:
        show_roofline(console, answer["roofline"])


def widths(point: JsonObject) -> str:
    """The widths of a head that do not follow from D and h."""
    d, d_v = point["head_dim"], point["v_head_dim"]
    own = d is not None and point["heads"] is not None and d * point["heads"] != point["dim"]
    return (f" d={d}" if own else "") + (f" d_v={d_v}" if d_v is not None and d_v != d else "")


def causality(said: bool | None, rows: Sequence[JsonObject]) -> str:
    """The causality of a target in words: as it was made, or what a probe saw where nothing of its code takes it."""
    words = {True: "causal", False: "bidirectional", None: f"causality {UNKNOWN}"}
    seen = next((row["causal"] for row in rows if row["causal"] is not None), None)
    return words[said] if said is not None or seen is None else f"{words[seen]} as probed"


def show_forms(console: Console, answer: JsonObject, *, latex: bool) -> None:
    """The closed forms, how they were derived, and the verdict on the claim."""
    forms = answer["closed_forms"]
    keys = {"flops_executed": "flops", "flops_core_executed": "core"}
    for pass_, figure, label in FIGURES:
        name = "saved_bytes" if figure == "saved_bytes" else f"{pass_}_{keys[figure]}"
        text = answer["latex"].get(name) if latex else forms[pass_][figure]
        console.print(f"  {pass_:8}{label:12}{text or 'no closed form'}", soft_wrap=True, markup=False)
    for name, text in answer["bytes"].items():
        console.print(f"  {'':8}{name.replace('_', ' '):12}{text}", soft_wrap=True, markup=False)
    shown = answer["methods"].get("train_flops")
    if shown:
        held = answer["held"]["train_flops"]
        at = f", at {', '.join(f'{k}={v}' for k, v in held.items())}" if held else ""
        console.print(f"  by {shown}; {answer['valid']['train_flops']}{at}", style="dim")
    elif answer["why"]:
        console.print(f"  forms left out: {answer['why']}", style="dim", markup=False, soft_wrap=True)
    console.print(f"  {answer['verdict']}", style="dim", markup=False)


def show_table(console: Console, rows: Sequence[JsonObject]) -> None:
    """The numbers, one row a length and pass, and why some are missing."""
    from rich.table import Table

    table = Table()
    shown = [q for q in costed() if q.column and (q not in OF_SOME or any(row[q.key] for row in rows))]
    for name in ("n", "pass", *(quantity.column for quantity in shown)):
        table.add_column(name, justify="left" if name == "pass" else "right")
    for row in rows:
        cells = ["-" if row[q.key] is None else WRITTEN[q.unit](row[q.key]) for q in shown]
        table.add_row(format_length(row["n"]), row["pass"], *cells)
    console.print(table)
    show_remarks(console, rows)


def show_remarks(console: Console, rows: Sequence[JsonObject]) -> None:
    """What has to be said of the numbers: flags, why some are missing, kernels whose workspace is not known."""
    for flag in sorted({flag for row in rows for flag in row["flags"]} & set(FLAGS)):
        console.print(f"  {phrase(flag)}: {FLAGS[flag].text}", markup=False, soft_wrap=True)
    reasons = {(k, v) for row in rows for k, v in row["reasons"].items()}
    for key, reason in sorted(reasons):
        console.print(f"  {key}: {reason}", style="dim", markup=False, soft_wrap=True)
    unknown = {name for row in rows if row["certificate"] for name in row["certificate"].get("unknown_workspaces", ())}
    if unknown:
        text = f"  peak: what these kernels take for themselves is not known to the byte: {', '.join(sorted(unknown))}"
        console.print(text, style="dim", markup=False, soft_wrap=True)


def show_certificates(console: Console, rows: Sequence[JsonObject]) -> None:
    """Every operator behind the numbers of each row."""
    for row in rows:
        certificate = row["certificate"]
        if certificate is None:
            continue
        console.print(f"  n={format_length(row['n'])} {row['pass']}: {certificate['backend']}", markup=False)
        for op in certificate["counted"]:
            console.print(f"    {op['op']:52}{op['calls']:6} calls {format_flops(op['flops'])}", markup=False)
        for op in certificate["uncounted"]:
            console.print(f"    {op['op']:52}{op['calls']:6} calls not counted", markup=False)
        if certificate["tile"]:
            console.print(f"    tile: {certificate['tile']}", markup=False)
    conventions = {row["certificate"]["convention"] for row in rows if row["certificate"]}
    for convention in conventions:
        console.print(f"  {convention}", style="dim", markup=False)


def show_modules(console: Console, entry: JsonObject) -> None:
    """FLOPs by submodule of one row."""
    console.print(f"  n={format_length(entry['n'])} {entry['pass']}, by submodule:", markup=False)
    for name, flops in entry["flops"].items():
        console.print(f"    {name or '(the module itself)':40}{format_flops(flops)}", markup=False)


def show_memory(console: Console, rows: Sequence[JsonObject]) -> None:
    """What memory holds at the peak of each row."""
    from rich.table import Table

    table = Table(title="what memory holds at the peak")
    for name in ("n", "pass", *PARTS, "in all"):
        table.add_column(name.replace("_", " "), justify="right")
    for row in rows:
        cells = [format_bytes(row[part]) for part in PARTS]
        table.add_row(format_length(row["n"]), row["pass"], *cells, format_bytes(sum(row[part] for part in PARTS)))
    console.print(table)


def show_roofline(console: Console, rows: Sequence[JsonObject]) -> None:
    """The least time of each row on a device."""
    from rich.table import Table

    if not rows:
        return
    table = Table(title=f"least time on {rows[0]['device']}: a bound, not a measurement")
    for name in ("n", "pass", "FLOP/byte unfused", "fused", "bound unfused", "fused", "limited by"):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(
            format_length(row["n"]),
            row["pass"],
            f"{row['intensity_unfused']:.1f}",
            f"{row['intensity_fused']:.1f}",
            format_seconds(row["bound_s_unfused"]),
            format_seconds(row["bound_s_fused"]),
            str(row["limited_by"]),
        )
    console.print(table)
