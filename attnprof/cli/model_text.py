"""The answers about whole models as a reader sees them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from attnprof.records import JsonObject
from attnprof.units import counted, format_bytes, format_count, format_flops, format_length, format_seconds
from attnprof.words import Pass

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

COLUMNS = (
    ("proj", ("proj_flops", "conv_flops")),
    ("FFN", ("ffn_flops_active",)),
    ("FFN run", ("ffn_flops_executed",)),
    ("router, other", ("router_flops", "other_flops")),
    ("head", ("head_flops",)),
    ("recurrence", ("recurrence_flops",)),
    ("core", ("core_flops_useful",)),
    ("core, all pairs", ("core_flops_executed",)),
    ("indexer", ("index_flops",)),
)


def console() -> Console:
    """Standard output, as wide as it is, or 140."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 140, highlight=False, markup=False)


def table(title: str, first: str, *others: str) -> Table:
    """A table with one column of text, and figures."""
    from rich.table import Table
    from rich.text import Text

    made = Table(title=Text(title), title_justify="left")
    made.add_column(first)
    for name in others:
        made.add_column(name, justify="right")
    return made


def show_cost(answer: JsonObject) -> None:
    """Groups, FLOPs, caches, and what follows in sentences."""
    out = console()
    kinds = ", ".join(f"{group['count']} {group['kind']}" for group in answer["groups"])
    params = answer["params"]
    out.print(f"{answer['target']} ({answer['layers']} layers: {kinds})", soft_wrap=True)
    out.print(
        f"  {params['total']:,} parameters, {params['active']:,} met by a token; from {answer['source']}",
        soft_wrap=True,
    )
    for note in answer["notes"]:
        out.print(f"  {note}", soft_wrap=True)
    for entry in answer["flops"]:
        out.print(flops_table(entry))
    for entry in answer["caches"]:
        out.print(caches_table(entry))
    for line in sentences(answer):
        out.print(line, soft_wrap=True)


def flops_table(entry: JsonObject) -> Table:
    """FLOPs a token at one length: a row a group, and the total."""
    n, tokens = entry["n"], entry["q"] or entry["n"]
    what = {
        "prefill": f"prefill of {n:,} tokens",
        "train": f"training step of {n:,} tokens",
        "decode": f"decoding step of {counted(tokens, 'token')} behind {n:,}",
    }[entry["pass"]]
    rows = [*entry["groups"], {"kind": "total", "count": None, **entry["total"]}]
    shown = [column for column in COLUMNS if any(_sum(row, column[1]) for row in rows)]
    made = table(f"{what}: FLOPs a token", "layers", *(name for name, _ in shown))
    for row in rows:
        label = row["kind"] if row["count"] is None else f"{row['count']} × {row['kind']}"
        made.add_row(label, *(_flops(_sum(row, keys), tokens) for _, keys in shown))
    return made


def _sum(row: JsonObject, keys: Sequence[str]) -> int:
    return sum(row[key] for key in keys)


def _flops(value: int, tokens: int) -> str:
    return format_flops(value / tokens) if value else "-"


def caches_table(entry: JsonObject) -> Table:
    """What is kept after n tokens: a row a group, the total, and a row an engine."""
    of = counted(entry["sequences"], "sequence")
    parallel = f", one of {entry['tp']} devices" if entry["tp"] > 1 else ""
    title = f"kept after {entry['n']:,} tokens, {entry['kv_dtype']} keys and values{parallel}"
    made = table(title, "layers", "bytes a token", "keys and values", "states", of)
    for row in entry["groups"]:
        if row["kv_bytes"] or row["state_bytes"]:
            held = entry["sequences"] * (row["kv_bytes"] + row["state_bytes"])
            made.add_row(
                f"{row['count']} × {row['kind']}",
                f"{row['kv_bytes_per_token']:,.10g}",
                format_bytes(row["kv_bytes"]),
                format_bytes(row["state_bytes"]),
                f"{held:,}",
            )
    total = entry["total"]
    made.add_row(
        "exact",
        f"{total['kv_bytes_per_token']:,.10g}",
        format_bytes(total["kv_bytes"]),
        format_bytes(total["state_bytes"]),
        f"{total['bytes']:,}",
        end_section=True,
    )
    for name, engine in entry["engines"].items():
        figure = engine["why"] if engine["bytes"] is None else f"{engine['bytes']:,}"
        made.add_row(f"as {name} allocates", "", "", "", figure)
    return made


def sentences(answer: JsonObject) -> list[str]:
    """What the figures come to."""
    said = []
    crossing = answer["crossover"]["core_over_ffn"]
    if crossing is not None:
        said.append(f"attention costs as much as FFN and router from n = {crossing:,} on")
    after = answer["seen_after"]
    if after:
        whole = next((layer for layer, seen in enumerate(after, 1) if seen.startswith("all")), None)
        first = f"a token sees {after[0]} tokens after the first layer" if whole != 1 else ""
        rest = f"everything after layer {whole}" if whole else f"{after[-1]} after the last"
        said.append(f"{first}, {rest}" if first else f"a token sees {rest}")
    for entry in answer["caches"]:
        for name, engine in entry["engines"].items():
            if engine["bytes"]:
                stated = ", ".join(f"{key} {value}" for key, value in engine["assumptions"].items())
                said.append(f"as {name} allocates at {entry['n']:,}: {stated} ({engine['source']})")
        break
    check = answer["certificate"]
    said.append(certified(check))
    for key, both in (check or {}).get("defaults_differ", {}).items():
        said.append(f"default of {key}: {both['shipped']} is shipped, {both['installed']} is the installed class's")
    return said


def certified(check: JsonObject | None) -> str:
    """The certificate in a sentence."""
    if check is None:
        return "read from the config; the module was not checked (--check does, with transformers installed)"
    if check["formula_equals_module"] is None:
        return f"the module was not checked: {check['why']}"
    at = f"{check['module']} of transformers {check['transformers']}, {check['layers']} layers at n = {check['at_n']}"
    if check["formula_equals_module"]:
        return f"formula = module: FLOPs, parameters and cache equal those of {at} ({check['kernels']})"
    figures = ", ".join(
        f"{name} {check[name]['formula']:,} for {check[name]['module']:,}"
        for name in ("params", "flops", "cache_bytes")
        if check[name]["module"] is not None and check[name]["formula"] != check[name]["module"]
    )
    return f"formula and module differ: {figures or check['uncounted']} of {at}"


def show_limit(answer: JsonObject) -> None:
    """The limits in sentences, and the bounds of a card in a table."""
    out = console()
    limit = answer["limit"]
    out.print(
        f"{answer['target']}: {format_bytes(limit['weights_bytes'])} of weights in {answer['weights_dtype']}, "
        f"{format_bytes(limit['free_bytes'])} left of {format_bytes(limit['card_bytes'])}",
        soft_wrap=True,
    )
    for name, n in limit["n_max"].items():
        why = limit["why"].get(name)
        found = "no length" if n is None else f"the longest n is {n:,}"
        out.print(f"  {name}: {found}{f' ({why})' if why else ''}", soft_wrap=True)
    for n, count in limit["concurrency"].items():
        out.print(f"  sequences of {int(n):,} tokens: {count:,}")
    crossing = answer["crossover"]["core_over_ffn"]
    if crossing is not None:
        out.print(f"  attention costs as much as FFN and router from n = {crossing:,} on")
    if answer["decode_bounds"]:
        out.print(bounds_table(answer["decode_bounds"]))
        out.print(
            "bounds, no predictions: peaks of the data sheet, every byte read once, all tokens at the same experts"
        )


def bounds_table(bounds: Sequence[JsonObject]) -> Table:
    """The least time of a decoding step."""
    made = table(
        f"least time of a decoding step on {bounds[0]['card']} ({bounds[0]['source']})",
        "sequences",
        "tokens kept",
        "FLOPs",
        "weights read",
        "caches read",
        "at least",
        "experts by even chance",
        "by",
    )
    for bound in bounds:
        made.add_row(
            f"{bound['sequences']:,}",
            format_length(bound["n"]),
            format_flops(bound["flops"]),
            format_bytes(bound["least_weights_bytes"]),
            format_bytes(bound["kv_bytes"]),
            format_seconds(bound["least_s"]),
            format_seconds(bound["uniform_s"]),
            bound["limited_by"],
        )
    return made


def show_frameworks(answer: JsonObject) -> None:
    """A table a length, and below it the reasons of each framework once."""
    out = console()
    reasons: dict[str, None] = {}
    for entry in answer["lengths"]:
        exact = entry["exact"]["train"]
        title = f"{answer['target']}, n = {entry['n']:,}: training FLOPs a token"
        made = table(title, "whose", "core", "core / exact", "model", "model / exact", "read at")
        made.add_row("exact", format_count(exact["core_flops"]), "1", format_count(exact["flops"]), "1", "")
        for row in entry["frameworks"]:
            name = row["name"] + (" (forward)" if row["pass"] == Pass.FORWARD else "")
            made.add_row(
                name,
                _figure(row["core_flops"]),
                _ratio(row["core_ratio"]),
                _figure(row["flops"]),
                _ratio(row["ratio"]),
                row["commit"],
            )
            for why in row["why"]:
                reasons[f"{row['name']}: {why}"] = None
        out.print(made)
    for line in reasons:
        out.print(f"  {line}", soft_wrap=True)


def _figure(value: float | None) -> str:
    return "-" if value is None else format_count(value)


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
