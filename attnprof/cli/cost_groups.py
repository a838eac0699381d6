"""The groups of a stack as `attnprof cost` prints them: one row a group, then the total, for each length and pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from attnprof.records import JsonDict, JsonObject
from attnprof.units import format_bytes, format_flops, format_length
from attnprof.words import Level, Pass

if TYPE_CHECKING:
    from rich.console import Console

COLUMNS: tuple[tuple[str, str, Callable[[float], str]], ...] = (
    ("projections", "proj_flops", format_flops),
    ("core", "flops_core_executed", format_flops),
    ("useful", "flops_core_useful", format_flops),
    ("recurrence", "recurrence_flops", format_flops),
    ("selection", "selection_flops", format_flops),
    ("FFN", "ffn_flops_executed", format_flops),
    ("in all", "flops_executed", format_flops),
    ("saved", "saved_bytes", format_bytes),
    ("state", "state_bytes", format_bytes),
    ("a token", "state_growth_bytes", format_bytes),
    ("params", "param_bytes", format_bytes),
)


def show_groups(console: Console, answer: JsonObject) -> None:
    """A table of all groups at every length and pass, and what one token costs."""
    from rich.table import Table

    table = Table(title="by group of layers: FLOPs; bytes that wait for backward, and that decoding keeps")
    columns = [(key, written) for title, key, written in COLUMNS if shown(key, answer)]
    for name in ("n", "pass", "layers", *(title for title, key, _ in COLUMNS if shown(key, answer))):
        table.add_column(name, justify="left" if name in ("pass", "layers") else "right")
    rows = {(row["n"], row["pass"]): row for row in answer["table"]}
    for entry in answer["groups"]:
        where = (format_length(entry["n"]), entry["pass"])
        for group in entry["groups"]:
            table.add_row(*where, f"{group['count']} x {group['label']}", *_cells(group, columns))
        for end in entry["ends"]:
            table.add_row(*where, end["label"], *_cells(end, columns))
        total = rows[entry["n"], entry["pass"]]
        table.add_row(*where, "total", *_cells(_total(entry, total), columns), end_section=True)
    console.print(table)
    for line in lines(answer):
        console.print(f"  {line}", markup=False, soft_wrap=True)


def shown(key: str, answer: JsonObject) -> bool:
    """Whether a column has anything to show: FFNs at level block, bytes that wait for backward in training, ..."""
    if key in ("recurrence_flops", "selection_flops"):
        return any(row[key] for row in answer["table"])
    if key == "ffn_flops_executed":
        return bool(answer["point"]["level"] == Level.BLOCK)
    return key != "saved_bytes" or any(row["pass"] == Pass.TRAIN for row in answer["table"])


def _cells(figures: JsonObject, columns: Sequence[tuple[str, Callable[[float], str]]]) -> list[str]:
    return ["-" if figures.get(key) is None else written(figures[key]) for key, written in columns]


def _total(entry: JsonObject, row: JsonObject) -> JsonDict:
    """The figures of the whole stack, with the sums of those that the table of quantities does not have."""
    sums: dict[str, object] = {}
    for key in ("proj_flops", "ffn_flops_executed"):
        values = [group[key] for group in entry["groups"]]
        known = [value for value in values if value is not None]
        sums[key] = sum(known) if known and (len(known) == len(values) or key != "proj_flops") else None
    return {**row, **sums}


def lines(answer: JsonObject) -> list[str]:
    """What one token costs on average at each length, what a prefill leaves, and layers that share keys and values."""
    found = []
    for row in answer["table"]:
        if row["flops_executed"] is not None and row["pass"] != Pass.DECODE:
            a_token = row["flops_executed"] / (row["n"] * answer["point"]["batch"])
            text = f"n = {format_length(row['n'])}, {row['pass']}: {format_flops(a_token)} a token"
            if row["pass"] == Pass.FORWARD and row["state_bytes"] is not None:
                kept, more = (row[key] // answer["point"]["batch"] for key in ("state_bytes", "state_growth_bytes"))
                text += f"; as prefill it leaves {kept:,} bytes a sequence, {more:,} a token more"
            found.append(text)
    shared = {
        f"layer {mine} reads keys and values of layer {theirs}": None
        for entry in answer["groups"]
        for group in entry["groups"]
        for mine, theirs in zip(group["layers"], group["shares_kv"] or (), strict=False)
    }
    return [*found, *shared]
