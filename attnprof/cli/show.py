"""`attnprof show`: all that the catalogue says of one scheme."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import click

from attnprof.cli.options import AS_JSON, CAUSAL, SETTINGS, emit, shape_of
from attnprof.errors import AttnprofError
from attnprof.locate import shipped
from attnprof.records import JsonObject
from attnprof.units import format_value, parse_length, parse_setting

if TYPE_CHECKING:
    from attnprof.pattern import Pattern
    from attnprof.shapes import Shape
    from attnprof.targets.scheme import CatalogTarget
    from attnprof.units import Value

MOST_PICTURES = 3
EXAMPLES = """\b
Examples:
  attnprof show longformer
  attnprof show bigbird --n 1k --set block=32
  attnprof show my_pattern.py --json
"""


@click.command(epilog=EXAMPLES)
@click.argument("name")
@click.option(
    "--n", "length", metavar="LENGTH", help="Length of the count and the picture; default: the paper's, at most 4k."
)
@click.option("--heads", type=int, default=8, show_default=True, help="Heads, for patterns that differ between them.")
@SETTINGS
@CAUSAL
@AS_JSON
def command(
    name: str, length: str | None, heads: int, settings: tuple[str, ...], causal: bool | None, as_json: bool
) -> None:
    """All about NAME, a scheme of the catalogue or a pattern file: rule, parameters, counts, leaks, picture, BibTeX."""
    target = chosen(name, settings)
    n = parse_length(length) if length else min(target.card.paper_n or 1024, 4096)
    native = target.card.native_causal
    shape = shape_of(n, causal=native if causal is None else causal, heads=heads, dim=64 * heads)
    facts = facts_of(target, shape)
    if as_json:
        emit(facts)
        return
    for line in lines(facts, shutil.get_terminal_size().columns if sys.stdout.isatty() else None):
        click.echo(line)


def chosen(name: str, settings: tuple[str, ...]) -> CatalogTarget:
    """The scheme or pattern file, with its settings; an error for targets that have no card."""
    from attnprof.targets.door import find
    from attnprof.targets.scheme import CatalogTarget

    given: dict[str, Value] = {}
    for setting in map(parse_setting, settings):
        if setting.target not in (None, name):
            raise AttnprofError(
                f"--set {setting.target}.{setting.param} is for {setting.target}, but {name} is shown",
                hint=f"write --set {setting.param}={format_value(setting.value)}",
            )
        given[setting.param] = setting.value
    target = find(name, params=given)
    if not isinstance(target, CatalogTarget):
        raise AttnprofError(f"{name} has no card to show", hint="try `attnprof graph` or `attnprof cost` on it")
    return target


def facts_of(target: CatalogTarget, shape: Shape) -> dict[str, object]:
    """What `show --json` says, pictures and counts at the length of the shape."""
    from attnprof.impl import names
    from attnprof.pattern.param import STEPS
    from attnprof.records import plain
    from attnprof.targets.catalog import cannot, is_written

    pattern, values = target.graph(shape), target.resolve(shape.n)
    bib = shipped("reports") / "bib" / f"{target.card.bib}.bib"
    return {
        "name": target.name,
        **plain(target.card),
        "decode": target.card.decode,
        "graph_only": not is_written(target.name, target.card),
        "implementations": list(target.implementations()),
        "cannot": {name: why for name in names() if (why := cannot(target.entry.home, target.card, name))},
        "parameters": [
            {
                "name": name,
                "default": param.default,
                "value": values[name],
                "source": param.source or None,
                "least": param.least,
                "words": list(param.words),
                "by_length": dict(zip(STEPS, param.by_length, strict=True)) if param.by_length else None,
            }
            for name, param in target.entry.params.items()
        ],
        "n": shape.n,
        "causal": shape.causal,
        "layer_kinds": pattern.layers,
        "head_kinds": pattern.heads,
        "edges": [edge_facts(target, pattern, shape, layer) for layer in range(pattern.layers)],
        "structure": structure(pattern),
        "pictures": list(pictures(pattern)),
        "bibtex": bib.read_text(encoding="utf-8") if bib.is_file() else None,
    }


def edge_facts(target: CatalogTarget, pattern: Pattern, shape: Shape, layer: int) -> dict[str, object]:
    """Counts of one layer kind, head 0: by formula, by counting, with multiplicity, and as a share of all pairs."""
    from attnprof.pattern.slots import Kernel, Slots

    if isinstance(pattern.expr(layer), (Kernel, Slots)):
        return {"layer": layer, "closed": None, "counted": None, "with_multiplicity": None, "density": None}
    counted = pattern.edges(layer)
    return {
        "layer": layer,
        "closed": target.edges(shape, layer),
        "counted": counted,
        "with_multiplicity": pattern.edges_sum(layer),
        "density": counted / shape.n**2,
    }


def structure(pattern: Pattern) -> str:
    """What stands between tokens, where it is not edges alone."""
    from attnprof.pattern.slots import Kernel, Slots

    expr = pattern.expr()
    if isinstance(expr, Kernel):
        fading = "" if expr.decay is None else f", fading by {expr.decay:.6g} a token in head 0"
        past = " of the past" if expr.causal else ""
        return f"a complete graph{past}: no edge is left out; rank at most {expr.rank}{fading}"
    if isinstance(expr, Slots):
        inward, outward = expr.reads.edges, expr.writes.edges
        return f"through {expr.count} slots: {inward:,} edges from tokens to slots, {outward:,} back"
    return "edges between tokens"


def pictures(pattern: Pattern) -> Iterator[dict[str, object]]:
    """The distinct pictures of its layer and head kinds; of slots, the edges beside them; of kernels, none."""
    from attnprof.cli.textpicture import text_picture
    from attnprof.pattern.slots import Kernel, Slots

    seen: list[list[str]] = []
    for layer in range(pattern.layers):
        for head in range(pattern.heads):
            expr = pattern.expr(layer, head)
            shown = expr.direct if isinstance(expr, Slots) else expr
            if shown is None or isinstance(shown, Kernel) or len(seen) == MOST_PICTURES:
                continue
            drawn = text_picture(shown.slices(pattern.n))
            if drawn not in seen:
                seen.append(drawn)
                yield {"layer": layer, "head": head, "beside_slots": shown is not expr, "lines": drawn}


def lines(facts: JsonObject, width: int | None = None) -> Iterator[str]:
    """The card as text for a person; prose is broken between words where a terminal has that width."""
    yield click.style(f"{facts['title']} ({facts['name']})", bold=True)
    for label, text in heading(facts):
        yield from broken(f"  {label:<12} {text}", width, 15)
    yield from prose("Parameters", [parameter(it) for it in facts["parameters"]], width)
    yield from section(f"Edges at n = {facts['n']}, {'causal' if facts['causal'] else 'bidirectional'}", counts(facts))
    yield from prose("Leaks", facts["leaks"], width)
    yield from prose("Notes", facts["notes"], width)
    yield from section("Pattern", side_by_side(facts["pictures"]))
    if facts["bibtex"]:
        yield from section("BibTeX", facts["bibtex"].rstrip().splitlines())


def heading(facts: JsonObject) -> Iterator[tuple[str, str]]:
    """The one-line facts that are there."""
    forms = ["causal" if causal else "bidirectional" for causal in facts["causality"]]
    absent = [f"{name} ({why})" for name, why in facts["cannot"].items() if why.startswith("not installed")]
    run_by = ", ".join(facts["implementations"]) or "nothing yet: its graph alone is known"
    pairs = {
        "class": facts["survey_class"],
        "complexity": facts["complexity"],
        "ours": facts["complexity_ours"],
        "forms": ", ".join(forms) + (" (native first)" if len(forms) > 1 else ""),
        "decodes": "token by token" if facts["decode"] else f"no: {facts['undecoded'] or 'it has no causal form'}",
        "pattern": "depends on the data: drawn from random inputs" if facts["data_dependent"] else "",
        "rule": facts["rule"],
        "edges": facts["edges_text"],
        "structure": facts["structure"],
        "dead queries": facts["dead_queries"],
        "run by": run_by,
        "could be": ", ".join(absent),
        "oracle": facts["oracle"],
    }
    return ((label, text) for label, text in pairs.items() if text)


def parameter(it: JsonObject) -> str:
    """One parameter: its default and where that comes from, its words, its value at this length where it is another."""
    default, here, source = format_value(it["default"]), format_value(it["value"]), it["source"] or ""
    value = source if source.startswith(default) else f"{default}   {source}".rstrip()
    words = f"; of {', '.join(it['words'])}" if it["words"] else ""
    return f"{it['name']} = {value}{words}" + (f"; {here} here" if default != here else "")


def counts(facts: JsonObject) -> Iterator[str]:
    """A line a layer kind."""
    for it in facts["edges"]:
        if it["counted"] is None:
            yield f"layer {it['layer']}: none between tokens"
            continue
        agrees = it["closed"] == it["counted"]
        closed = (
            "as the closed form says" if agrees else f"closed form {it['closed']}" if it["closed"] else "no closed form"
        )
        multiple = (
            f", {it['with_multiplicity']:,} over all softmaxes" if it["with_multiplicity"] != it["counted"] else ""
        )
        yield f"layer {it['layer']}, head 0: {it['counted']:,} ({it['density']:.2%} of all pairs){multiple}; {closed}"


def section(title: str, body: Iterable[str]) -> Iterator[str]:
    """A heading and its indented lines; nothing where there are none."""
    lines = list(body)
    if lines:
        yield ""
        yield click.style(title, bold=True)
        yield from (f"  {line}" for line in lines)


def prose(title: str, body: Iterable[str], width: int | None) -> Iterator[str]:
    """A section whose lines are sentences."""
    yield from section(title, [part for line in body for part in broken(line, None if width is None else width - 2, 2)])


def broken(line: str, width: int | None, indent: int) -> list[str]:
    """The line, broken between words where it is wider; what goes on is indented."""
    if width is None or len(line) <= width:
        return [line]
    break_at = max(width, indent + 20)
    return textwrap.wrap(line, break_at, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False)


def side_by_side(pictures: Sequence[Mapping[str, object]]) -> Iterator[str]:
    """Pictures in boxes under their names, and how to read them."""
    if not pictures:
        return
    boxes = [list(frame(it)) for it in pictures]
    for row in zip(*boxes, strict=True):
        yield "  ".join(row).rstrip()
    yield "queries downwards, keys to the right; blank: no edge, full: every pair"


def frame(picture: JsonObject) -> Iterator[str]:
    """A picture in a box, its name above it."""
    width = len(picture["lines"][0])
    name = f"layer {picture['layer']}, head {picture['head']}" + (", beside slots" if picture["beside_slots"] else "")
    yield f"{name:<{width + 2}}"
    yield f"┌{'─' * width}┐"
    yield from (f"│{line}│" for line in picture["lines"])
    yield f"└{'─' * width}┘"
