"""`attnprof list`: the catalogue as a table."""

from __future__ import annotations

import re
import sys

import click

from attnprof.cli.options import AS_JSON, ImplParam, emit
from attnprof.errors import unknown
from attnprof.locate import shipped
from attnprof.pattern.card import Card
from attnprof.targets.catalog import able, cannot, card, is_written, names
from attnprof.words import Impl, Maths

COLUMNS = ("name", "class", "paper", "complexity", "causal", "decode", "data", "run by", "oracle")
WIDEST = {"class": 24, "complexity": 36, "run by": 21, "oracle": 36}
NARROW = ("name", "complexity", "causal", "decode", "run by")
FOR_MOST_COLUMNS = 100
FOR_ALL_COLUMNS = 140
EXAMPLES = """\b
Examples:
  attnprof list
  attnprof list --class "fixed pattern" --causal
  attnprof list --data-dependent --json
  attnprof list --executed | cut -f1             names alone: piped, the table is tab-separated text
"""


@click.command(epilog=EXAMPLES)
@click.option("--class", "class_", metavar="WORDS", help="Only classes with these words, e.g. 'kernel'.")
@click.option("--causal/--no-causal", default=None, help="Only schemes that have a causal (a bidirectional) form.")
@click.option("--decode", is_flag=True, help="Only schemes that can generate token by token.")
@click.option("--data-dependent/--static", default=None, help="Only patterns that depend on the data (that do not).")
@click.option("--executed/--graph-only", default=None, help="Only schemes whose maths is (is not) written.")
@click.option(
    "--impl",
    type=ImplParam(),
    metavar="NAME",
    help="Only schemes that this implementation, or file.py, can compute here.",
)
@AS_JSON
def command(
    class_: str | None,
    causal: bool | None,
    decode: bool,
    data_dependent: bool | None,
    executed: bool | None,
    impl: Impl | None,
    as_json: bool,
) -> None:
    """Every scheme of the catalogue: what it is, what it claims to cost, what can run it.

    Complexity is as printed in the survey of Tay et al. (2022); after an arrow, or for schemes that it does not
    have, ours. `data` says whether the pattern depends on the data; `run by` what can compute it on this
    machine, the default first, or nothing yet (its graph alone is known).
    """
    kept = _of_class({name: card(name) for name in names()}, class_)
    kept = _with_forms(kept, causal, decode)
    if data_dependent is not None:
        kept = {name: it for name, it in kept.items() if it.data_dependent == data_dependent}
    if executed is not None:
        kept = {name: it for name, it in kept.items() if is_written(name, it) == executed}
    if impl is not None:
        kept = {name: it for name, it in kept.items() if cannot(name, it, impl) is None}
    _print(kept, as_json)


def _of_class(found: dict[str, Card], words: str | None) -> dict[str, Card]:
    kept = {name: it for name, it in found.items() if words is None or words.lower() in it.survey_class.lower()}
    if words is not None and not kept:
        raise unknown("class", words, {it.survey_class for it in found.values() if it.survey_class})
    return kept


def _with_forms(found: dict[str, Card], causal: bool | None, decode: bool) -> dict[str, Card]:
    if decode:
        found = {name: it for name, it in found.items() if it.decode}
    return {name: it for name, it in found.items() if causal is None or causal in it.causality}


def _print(kept: dict[str, Card], as_json: bool) -> None:
    if as_json:
        emit({"schemes": [facts(name, it) for name, it in kept.items()]})
    elif sys.stdout.isatty():
        print_table(kept)
    else:
        for row in (COLUMNS, *(cells(name, it) for name, it in kept.items())):
            click.echo("\t".join(row))


def facts(name: str, it: Card) -> dict[str, object]:
    """What `list --json` says of a scheme."""
    return {
        "name": name,
        "title": it.title,
        "class": it.survey_class or None,
        "paper": paper(it),
        "bib": it.bib,
        "complexity": it.complexity or None,
        "complexity_ours": it.complexity_ours or None,
        "causality": list(it.causality),
        "decode": it.decode,
        "undecoded": it.undecoded or None,
        "data_dependent": it.data_dependent,
        "implementations": list(able(name, it)),
        "own_maths": it.maths is Maths.OWN and is_written(name, it),
        "graph_only": not is_written(name, it),
        "oracle": it.oracle or None,
    }


def cells(name: str, it: Card) -> tuple[str, ...]:
    """The row of a scheme."""
    return (
        name,
        it.survey_class or "-",
        paper(it),
        complexity(it),
        causality(it),
        "yes" if it.decode else "-",
        "yes" if it.data_dependent else "-",
        run_by(name, it),
        it.oracle or "-",
    )


def complexity(it: Card) -> str:
    """The survey's complexity, and ours where it has none or says too little."""
    if it.complexity and it.complexity_ours:
        return f"{it.complexity} → {it.complexity_ours}"
    return it.complexity or it.complexity_ours


def causality(it: Card) -> str:
    """`yes`, `no`, or `both` with the native form first."""
    words = ["yes" if causal else "no" for causal in it.causality]
    return words[0] if len(words) == 1 else f"both ({words[0]})"


def run_by(name: str, it: Card) -> str:
    """What can compute the scheme here."""
    return ", ".join(able(name, it)) or "graph only"


def paper(it: Card) -> str:
    """First author and year, from the BibTeX entry."""
    path = shipped("reports") / "bib" / f"{it.bib}.bib"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    author, year = (re.search(rf"\b{key}\s*=\s*\{{+([^,}}]*)", text) for key in ("author", "year"))
    return f"{author[1]} {year[1]}" if author and year else it.bib


def print_table(kept: dict[str, Card]) -> None:
    """The table on a terminal: what does not fit ends in an ellipsis, but for the complexity, which is told whole."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    found = [cells(name, it) for name, it in kept.items()]
    shown = NARROW if console.width < FOR_MOST_COLUMNS else COLUMNS[: len(COLUMNS) - (console.width < FOR_ALL_COLUMNS)]
    rows = [tuple(row[COLUMNS.index(column)] for column in shown) for row in found]
    natural = {column: max(len(row[at]) for row in (shown, *rows)) for at, column in enumerate(shown)}
    flexible = {column: WIDEST[column] for column in shown if column in WIDEST}
    left = console.width - sum(natural[column] + 2 for column in shown if column not in flexible) - 2 * len(flexible)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in shown:
        share = max(left * flexible.get(column, 0) // max(sum(flexible.values()), 1), len(column))
        whole = column == "complexity"  # what a reader came for: it goes on in a second line rather than end in dots
        table.add_column(
            column,
            no_wrap=not whole,
            overflow="fold" if whole else "ellipsis",
            width=min(natural[column], share) if column in flexible else natural[column],
        )
    for row in rows:
        table.add_row(f"[bold]{row[0]}[/]", *row[1:])
    console.print(table)
    console.print(f"[dim]{len(kept)} schemes; `attnprof show NAME` tells all of one, --json all of all[/]")
