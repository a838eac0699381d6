"""`attnprof graph`: who can reach whom."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from attnprof.cli.options import ARGUMENTS, AS_JSON, CAUSAL, OUT, SETTINGS, Closed, emit, notes, pairs
from attnprof.words import EngineName

EXAMPLES = """\b
Examples:
  attnprof graph longformer                          the paper's length and parameters, until closure
  attnprof graph bigbird --n 64k --seeds 1000        what the window, the random blocks and the globals each give
  attnprof graph longformer sliding_window --n 16k   side by side, with cost per reached pair
  attnprof graph my_pattern.py --set window=64       your own pattern file
  attnprof graph model.py:Attention --n 512          recovered from a module: value and selection paths, leaks
  attnprof graph mask.npz --csr again.npz            a captured CSR mask
"""


@click.command(epilog=EXAMPLES)
@click.argument("targets", nargs=-1, required=True, metavar="TARGET...")
@click.option("--n", "length", help="Tokens, e.g. 4096 or 64k. Default: the paper's, else 4096.")
@click.option("--layers", type=click.IntRange(1), help="Stop after so many layers. Default: until nothing is new.")
@click.option("--heads", type=click.IntRange(1), help="Heads whose edges are united. Default: 8, or 2 for a module.")
@click.option("--dim", type=click.IntRange(1), help="Model width, D. Default: 512, or 16 a head for a module.")
@click.option("--against", metavar="TARGET", help="The pattern that a module is said to have: what differs is named.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of random patterns.")
@click.option("--seeds", type=click.IntRange(0), default=100, show_default=True, help="Seeds of the ablation.")
@click.option("--engine", type=Closed(EngineName), default="auto", show_default=True, help="Who answers.")
@click.option("--without-globals", is_flag=True, help="Take the global tokens out, with all their edges.")
@click.option("--csr", type=click.Path(path_type=Path, dir_okay=False), help="Also write the edges as CSR (.npz).")
@click.option("--trials", type=click.IntRange(1), default=3, show_default=True, help="Random inputs to probe with.")
@click.option("--no-page", is_flag=True, help="Leave the record, write no page.")
@CAUSAL
@SETTINGS
@ARGUMENTS
@OUT
@AS_JSON
def command(**options: Any) -> int:
    """Who can reach whom in TARGETs: edges, reach layer by layer, hops, mixing, bottlenecks, randomness.

    A TARGET is a scheme, a pattern file, file.py:mask_mod, file.py:Module, a .npz with a CSR or a .pt with a BlockMask.
    """
    from attnprof.cli.graph_text import print_comparison, print_summary
    from attnprof.graph.analysis import analyze

    console = notes()
    found = []
    for target, request in asked(options):
        with console.status(f"{target.name}: who reaches whom"):
            found.append(analyze(target, request))
    if options["csr"]:
        write_csr(found, options["csr"])
    path, page = leave(found, options)
    if options["as_json"]:
        results = [analysis.facts for analysis in found]
        emit({**(results[0] if len(results) == 1 else {"targets": results}), "run": str(path), "page": page})
        return 0
    for analysis in found:
        print_summary(analysis)
    if len(found) > 1:
        print_comparison(found)
    console.print(f"record: {path}" + (f"\npage: {page}" if page else ""))
    console.print(f"next: {_next(found, options['targets'][0])}")
    return 0


def asked(options: Mapping[str, Any]) -> list[tuple[Any, Any]]:
    """The targets with what is asked of each. Raises `AttnprofError` for an unknown one."""
    from attnprof.graph.analysis import Request
    from attnprof.sweep.plan import settings_of
    from attnprof.units import parse_length

    targets = options["targets"]
    settings = settings_of(options["settings"], targets)
    names = ("causal", "layers", "heads", "dim", "seed", "seeds", "engine", "without_globals", "trials")
    request = Request(
        n=parse_length(options["length"]) if options["length"] else None,
        side=0 if options["no_page"] else 256,
        against=_against(options["against"], settings),
        **{name: options[name] for name in names},
    )
    arguments = pairs(options["arguments"])
    return [(found_target(text, settings.get(Path(text).stem, {}), arguments), request) for text in targets]


def _against(text: str | None, settings: Mapping[str, Mapping[str, Any]]) -> Any:
    return None if text is None else found_target(text, settings.get(Path(text).stem, {}), {})


def found_target(text: str, params: Mapping[str, Any], arguments: Mapping[str, Any]) -> Any:
    """A target of the catalogue's door."""
    from attnprof.catalog import find

    return find(text, params=params, arguments=arguments)


def write_csr(found: Sequence[Any], path: Path) -> None:
    """The edges of the first layer of the one target, heads united."""
    from attnprof.errors import AttnprofError
    from attnprof.graph.export import save_csr
    from attnprof.graph.stack import Slotted

    if len(found) > 1:
        raise AttnprofError("--csr writes one pattern, but several targets are given", hint="name one target")
    kind = found[0].subject.stack.kinds[0]
    if isinstance(kind, Slotted):
        raise AttnprofError("tokens meet in slots, so there are no edges between them", hint="leave --csr out")
    save_csr(kind, path)


def leave(found: Sequence[Any], options: Mapping[str, Any]) -> tuple[Path, str | None]:
    """Store a graph record of every target and write the page beside them."""
    from attnprof.graph.record import graph_record
    from attnprof.model import content_hash
    from attnprof.store import HEADER, Run

    records = [graph_record(analysis) for analysis in found]
    path = options["out"] or Path("attnprof-runs") / f"graph-{content_hash([record.key for record in records])}"
    header = {"command": " ".join(["attnprof", *sys.argv[1:]])}
    with Run.open(path) if (path / HEADER).exists() else Run.create(path, header) as run:
        for record in records:
            run.append(record)
    if options["no_page"]:
        return path, None
    from attnprof.render.graph_page import write_graph_page

    page = path / "report.html"
    write_graph_page(page, [(analysis.facts, analysis.views()) for analysis in found], header)
    return path, str(page)


def _next(found: Sequence[Any], name: str) -> str:
    if len(found) == 1 and (found[0].facts.get("hubs") or 0) and not found[0].facts.get("globals_removed"):
        return f"attnprof graph {name} --without-globals"
    return f"attnprof sweep {name} dense --lengths 1k-8k" if _runs(name) else f"attnprof graph {name} --csr edges.npz"


def _runs(name: str) -> bool:
    """Whether `sweep` can execute it: not a captured mask, nor a scheme of which the graph alone is known."""
    from attnprof.catalog import CAPTURED, card, is_written, names

    return not name.endswith(CAPTURED) and (name not in names() or is_written(name, card(name)))
