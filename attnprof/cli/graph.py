"""`attnprof graph`: who can reach whom."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from attnprof.cli.main import report
from attnprof.cli.options import ARGUMENTS, AS_JSON, CAUSAL, OUT, SETTINGS, Options, WordParam, emit, notes, usage_of
from attnprof.errors import AttnprofError
from attnprof.records import JsonDict
from attnprof.words import EngineName

if TYPE_CHECKING:
    from attnprof.contracts import Target
    from attnprof.graph.analysis import Analysis, Request
    from attnprof.units import Value

EXAMPLES = """\b
Examples:
  attnprof graph longformer                          the paper's length and parameters, until closure
  attnprof graph bigbird --n 64k --seeds 1000        what the window, the random blocks and the globals each give
  attnprof graph longformer sliding_window --n 16k   side by side, with cost per reached pair
  attnprof graph my_pattern.py --set window=64       your own pattern file
  attnprof graph "5 sliding_window window=1024 + 1 dense" --causal --n 8k    a stack, layer by layer
  attnprof graph longformer --against bigbird        which pairs one of them reaches only, after each layer
  attnprof graph model.py:Attention --n 512          recovered from a module: value and selection paths, leaks
  attnprof graph mask.npz --csr again.npz            a captured CSR mask
"""
FILE = click.Path(path_type=Path, dir_okay=False)
FORMATS = ("csr", "graphml", "gexf")
LEAK, UNUSABLE = 4, 1
PATIENCE_S = 2.0


@click.command(epilog=EXAMPLES)
@click.argument("targets", nargs=-1, required=True, metavar="TARGET...")
@click.option("--n", "length", help="Tokens, e.g. 4096 or 64k. Default: the paper's, else 4096.")
@click.option("--layers", type=click.IntRange(1), help="Stop after so many layers. Default: until nothing is new.")
@click.option("--heads", type=click.IntRange(1), help="Heads whose edges are united. Default: 8, or 2 for a module.")
@click.option("--dim", type=click.IntRange(1), help="Model width, D. Default: 512, or 16 a head for a module.")
@click.option("--against", metavar="TARGET", help="A pattern to compare with: what differs is named.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of random patterns.")
@click.option("--seeds", type=click.IntRange(0), help="Seeds to redraw with. Default: 100 for blocks, else by size.")
@click.option("--engine", type=WordParam(EngineName), default="auto", show_default=True, help="Who answers.")
@click.option("--without-globals", is_flag=True, help="Take the global tokens out, with all their edges.")
@click.option("--csr", type=FILE, help="Also write the edges as CSR (.npz), all layers and heads united.")
@click.option("--graphml", type=FILE, help="The same as GraphML, up to 200,000 edges.")
@click.option("--gexf", type=FILE, help="The same as GEXF, up to 200,000 edges.")
@click.option("--csr-layer", type=click.IntRange(1), help="Write that layer's edges, counted from 1.")
@click.option("--csr-head", type=click.IntRange(1), help="Write that head's edges, counted from 1.")
@click.option("--trials", type=click.IntRange(1), default=3, show_default=True, help="Random inputs to probe with.")
@click.option("--no-page", is_flag=True, help="Leave the record, write no page.")
@CAUSAL
@SETTINGS
@ARGUMENTS
@OUT
@AS_JSON
def command(**options: Any) -> int:
    """Who can reach whom in TARGETs: edges, reach layer by layer, hops, mixing, bottlenecks, randomness.

    Exits with 4 where causality was asked for and an edge reads the future.

    A TARGET is a scheme, a pattern file, file.py:mask_mod, file.py:Module, a .npz with a CSR or a .pt with a BlockMask.
    """
    from attnprof.cli.graph_heading import leak_line
    from attnprof.cli.graph_text import print_comparison, print_summary
    from attnprof.graph.analysis import analyze

    console = notes()
    found, kept, targets = [], [], asked(options)
    for text, (target, request) in zip(options["targets"], targets, strict=True):
        with console.status(f"{target.name}: who reaches whom") as status:
            try:
                found.append(analyze(target, request, progress(target.name, status.update)))
                kept.append(text)
            except AttnprofError as error:
                if len(targets) == 1:
                    raise
                report(error.message, error.hint)
    if not found:
        return UNUSABLE
    options["targets"] = tuple(kept)
    fell_out = UNUSABLE if len(found) < len(targets) else 0
    leaks = [line for analysis in found if (line := leak_line(analysis.facts))]
    written = exported(found, options)
    path, page = leave(found, options)
    if options["as_json"]:
        results = [analysis.facts for analysis in found]
        whole = results[0] if len(results) == 1 else {"targets": results}
        emit({**whole, "run": str(path), "page": page, **written})
        return LEAK if leaks else fell_out
    for line in leaks:
        click.echo(click.style(line, fg="red", bold=True))
    for analysis in found:
        print_summary(analysis)
    if len(found) > 1:
        print_comparison(found)
    for kind, file in written.items():
        if file is not None:
            console.print(f"{kind}: {file['path']}: {file['edges']:,} edges of {file['of']}", markup=False)
    console.print(f"record: {path}" + (f"\npage: {page}" if page else ""))
    console.print(f"next: {_next(found, options)}", markup=False, soft_wrap=True)
    return LEAK if leaks else fell_out


def progress(name: str, update: Callable[[str], None]) -> Callable[[str, int, int], None]:
    """What tells a reader who waits for more than two seconds how far the seeds are, and how long they will take."""
    began: dict[str, float] = {}

    def tell(what: str, done: int, total: int) -> None:
        now = time.perf_counter()
        elapsed = now - began.setdefault(what, now)
        if done and elapsed > PATIENCE_S:
            update(f"{name}: {what} {done} of {total}, about {elapsed / done * (total - done):.0f} s left")

    return tell


def asked(options: Options) -> list[tuple[Target, Request]]:
    """The targets with what is asked of each. Raises `AttnprofError` for an unknown one."""
    from attnprof.graph.analysis import Request
    from attnprof.models.lookup import is_model
    from attnprof.naming import distinguished
    from attnprof.sweeps.points import label, settings_of
    from attnprof.targets import catalog, door
    from attnprof.units import parse_length

    targets = options["targets"]
    settings = settings_of(options["settings"], targets)
    names = ("causal", "layers", "heads", "dim", "seed", "seeds", "engine", "without_globals", "trials")
    said = {name: options[name] for name in names}
    if said["causal"] is None and all(is_model(text) for text in targets):
        said["causal"] = True  # the models that `hf:` reads are decoders
    request = Request(
        n=parse_length(options["length"]) if options["length"] else None,
        side=0 if options["no_page"] else 256,
        against=_against(options["against"], settings),
        **said,
    )
    called = distinguished(targets, catalog.names())
    usage = usage_of(options, targets)
    return [
        (door.find(text, params=settings.get(label(text), {}), name=called[text], usage=usage), request)
        for text in targets
    ]


def _against(text: str | None, settings: Mapping[str, Mapping[str, Value]]) -> Target | None:
    from attnprof.sweeps.points import label
    from attnprof.targets import door

    return None if text is None else door.find(text, params=settings.get(label(text), {}))


def exported(found: Sequence[Analysis], options: Options) -> dict[str, JsonDict | None]:
    """Write the edges of the one target where that is asked for: by format where they are, how many, and of what."""
    from attnprof.errors import AttnprofError
    from attnprof.graph.export import export

    layer, head = options["csr_layer"], options["csr_head"]
    asked_for = [kind for kind in FORMATS if options[kind] is not None]
    if not asked_for and (layer is not None or head is not None):
        raise AttnprofError("--csr-layer and --csr-head choose what --csr writes", hint="add --csr edges.npz")
    if asked_for and len(found) > 1:
        raise AttnprofError(
            f"--{asked_for[0]} writes one pattern, but several targets are given", hint="name one target"
        )
    return {
        kind: export(found[0].subject, options[kind], kind, layer, head)._asdict() if kind in asked_for else None
        for kind in FORMATS
    }


def leave(found: Sequence[Analysis], options: Options) -> tuple[Path, str | None]:
    """Store a graph record of every target and write the page beside them."""
    from attnprof.graph.record import graph_record
    from attnprof.records import content_hash
    from attnprof.store import HEADER, RunFolder
    from attnprof.targets.catalog import names

    known = names()
    sources = [None if text in known else text for text in options["targets"]]
    records = [graph_record(analysis, source) for analysis, source in zip(found, sources, strict=True)]
    path = options["out"] or Path("attnprof-runs") / f"graph-{content_hash([record.key for record in records])}"
    header = {"command": " ".join(["attnprof", *sys.argv[1:]])}
    with RunFolder.open(path) if (path / HEADER).exists() else RunFolder.create(path, header) as run:
        for record in records:
            run.append(record)
    if options["no_page"]:
        return path, None
    from attnprof.render.graph_page import write_graph_page

    page = path / "report.html"
    write_graph_page(page, [(analysis.facts, analysis.views()) for analysis in found], header)
    return path, str(page)


def _next(found: Sequence[Analysis], options: Options) -> str:
    """A command that works: the same without the globals, a run of what can be executed, or else a comparison or card.

    Slot schemes have no edges to write, and a scheme whose maths is not written cannot be run.
    """
    from attnprof.models.lookup import is_model
    from attnprof.targets.catalog import CAPTURED

    name, facts = options["targets"][0], found[0].facts
    if len(found) == 1 and _has_others(facts):
        kept = ("--n", "--layers", "--heads", "--dim", "--seed")
        return _again(["attnprof", "graph", name], options, kept, "--without-globals")
    if is_model(name):
        return f"attnprof cost {name}"
    if _runs(name):
        beside = [] if name == "dense" else ["dense"]
        return _again(["attnprof", "sweep", name, *beside], options, (), "--lengths 1k-8k")
    if name.endswith(CAPTURED):
        return _again(["attnprof", "graph", name, "sliding_window"], {}, (), f"--n {facts['n']}")
    return f"attnprof show {name}"


def _has_others(facts: Mapping[str, object]) -> bool:
    """Whether some tokens, and not all, are global, and are still there."""
    return bool(facts.get("hubs")) and not facts.get("globals_removed") and facts["without_globals"] is not None


def _again(words: list[str], options: Options, named: Sequence[str], last: str) -> str:
    """A command line with the options that were given, those that make the target what it is first."""
    from attnprof.units import parse_setting

    own = Path(options["targets"][0]).stem if options else ""
    for text in options.get("settings", ()):
        owner = parse_setting(text).target
        if owner in (None, own):
            words += ["--set", text if owner else f"{own}.{text}"]
    for flag, name in (("--arg", "arguments"), ("--config-arg", "config_arguments"), ("--input", "inputs")):
        words += [word for text in options.get(name, ()) for word in (flag, text)]
    for flag in (*(("--config", "--layout", "--call", "--output") if options else ()), *named):
        value = options.get("length" if flag == "--n" else flag[2:])
        words += [] if value in (None, 0) else [flag, str(value)]
    if options.get("causal") is not None:
        words.append("--causal" if options["causal"] else "--no-causal")
    return " ".join([shlex.join(words), last])


def _runs(name: str) -> bool:
    """Whether `sweep` can execute it: not a captured mask, nor a scheme of which the graph alone is known."""
    from attnprof.targets.catalog import CAPTURED, card, is_written, names

    return not name.endswith(CAPTURED) and (name not in names() or is_written(name, card(name)))
