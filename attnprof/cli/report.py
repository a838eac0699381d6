"""`attnprof report`: the page of one or several runs, one figure of it, and the files of a paper."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from attnprof.cli.of_model import cache_options
from attnprof.cli.options import AS_JSON, CAUSAL, OUT, Options, WordParam, emit, explicit, notes
from attnprof.errors import AttnprofError
from attnprof.records import JsonObject
from attnprof.words import Pass

if TYPE_CHECKING:
    from attnprof.records import Record

EXAMPLES = """\b
Examples:
  attnprof report attnprof-runs/3f2a91c07be4d518                 write its report.html again
  attnprof report laptop server --out both.html                  one page of two runs
  attnprof report RUN --figure choice --at 8k                    one self-contained SVG
  attnprof report RUN --paper paper --venue icml                 figures, tables, numbers, bibliography, methods
  attnprof report RUN --paper paper --schemes bigbird,longformer,flash --panels time,memory --at 16k
  attnprof report RUN --paper paper --venue acl --anonymous      the same for a blind review
  attnprof report hf:gpt_oss_20b hf:gemma3_27b --out models.html   models: cost by part, caches, reach, frameworks
  attnprof report "3 gated_deltanet + 1 dense ; layers=48" --lengths 8k-128k    a stack, counted layer by layer
"""
OF_MODELS = ("lengths", "memory", "dtype", "weights_dtype", "kv_dtype", "tp")
OF_RUNS = ("paper", "venue", "schemes", "panels", "length", "figure", "pass_", "anonymous", "static", "causal")


@click.command(epilog=EXAMPLES)
@click.argument("named", nargs=-1, required=True, metavar="RUN|MODEL...")
@click.option("--paper", type=click.Path(path_type=Path), help="Folder for the files of a paper, in place of the page.")
@click.option("--venue", default="article", show_default=True, help="article, neurips, icml, acl or ieee2col: widths.")
@click.option("--schemes", help="Of a paper: at most nine, joined by commas. Default: the baselines and the front.")
@click.option("--panels", help="Of a paper: at most four of time, relative, memory, state, flops, tokens, achieved, …")
@click.option("--at", "length", metavar="LENGTH", help="The n of tables and of --figure. Default: the longest usual.")
@click.option("--figure", metavar="NAME", help="One SVG: choice, layers, or a panel; with --pass and --causal.")
@click.option("--pass", "pass_", type=WordParam(Pass), help="Of --figure: forward, train or decode.")
@click.option("--anonymous", is_flag=True, help="Leave out host, user, paths, device identifiers and the command.")
@click.option("--static", is_flag=True, help="A page without plotly: 2 MB smaller, its figures open in nothing else.")
@CAUSAL
@click.option("--lengths", help="Of models: 8k,128k; 1k = 1024. Default: 1k-1m, with a stack 2k-512k:x4.")
@click.option("--memory", default="h100", show_default=True, help="Of models: 80GB, 80GiB, or an accelerator.")
@click.option("--dtype", help="Of models: precision of what is computed. Default: bf16.")
@click.option("--weights-dtype", help="Of models: precision of the weights: bf16, fp8, mxfp4, ... Default: --dtype.")
@cache_options
@OUT
@AS_JSON
def command(named: Sequence[str], **options: Any) -> int:
    """Write the page of RUNs, the folders that `attnprof sweep` and `attnprof graph` leave, or that of MODELs.

    Points of different runs stand on one page; they are compared only if the runs come from the same machine and
    software. With --figure: one figure as SVG. With --paper: TikZ figures, booktabs tables, a macro for every number,
    CSV data, BibTeX, a methods paragraph, an appendix. Prints what the page says first.

    A MODEL is hf:MODEL_TYPE, hf:config.json or a public model by name, or a stack of layers: nothing is run for its
    page, no weights are read.
    """
    folders = [Path(name) for name in named if Path(name).is_dir()]
    if len(folders) < len(named):
        from attnprof.cli import report_models

        return report_models.page(named, folders, options)
    refuse_typed(OF_MODELS, "a run")
    from attnprof.render.joined import joined
    from attnprof.store import RunFolder

    records, header = joined([RunFolder.open(folder) for folder in folders])
    if options["figure"] is not None:
        return _figure(folders, records, header, options)
    if options["paper"] is not None:
        return _paper(options["paper"], records, header, options)
    return _page(folders, records, header, options)


def refuse_typed(names: Sequence[str], what: str) -> None:
    """Raise `AttnprofError` for an option that was typed and says nothing of what a page is made of."""
    for name in explicit():
        if name in names:
            option = {"length": "at", "pass_": "pass"}.get(name, name.replace("_", "-"))
            raise AttnprofError(f"--{option} says nothing of {what}", hint="attnprof report --help says of what")


def _at(options: Options) -> int | None:
    from attnprof.units import parse_length

    return parse_length(options["length"]) if options["length"] else None


def _figure(folders: Sequence[Path], records: Sequence[Record], header: JsonObject, options: Options) -> int:
    from attnprof.render import drawn_figure, figure_svg
    from attnprof.render.files import save

    name = options["figure"]
    found = drawn_figure(records, header, name, at=_at(options), pass_=options["pass_"], causal=options["causal"])
    if not found.panels:
        raise AttnprofError(f"nothing has a value in the figure {name}", hint="choose another --at or --pass")
    path = options["out"] or folders[0] / f"{name}.svg"
    save(path, figure_svg(found).encode())
    return told(options["as_json"], path, (path,), "", [found.caption])


def _paper(paper: Path, records: Sequence[Record], header: JsonObject, options: Options) -> int:
    from attnprof.render import write_paper

    schemes, panels = (_listed(options[name]) for name in ("schemes", "panels"))
    written = write_paper(
        paper,
        records,
        header,
        options["venue"],
        anonymous=options["anonymous"],
        schemes=schemes,
        panels=panels,
        at=_at(options),
    )
    following = f"cd {shlex.quote(str(paper))} && pdflatex main && bibtex main && pdflatex main"
    return told(options["as_json"], paper, written, following, [])


def _page(folders: Sequence[Path], records: Sequence[Record], header: JsonObject, options: Options) -> int:
    from attnprof.render import write_page
    from attnprof.render.claims.first import first_claims
    from attnprof.render.patterns import catalogue_pictures

    page = options["out"] or folders[0] / "report.html"
    page = page / "report.html" if page.is_dir() else page
    pictures = catalogue_pictures(records)
    anonymous = options["anonymous"]
    written = write_page(page, records, header, picture=pictures, plotly=not options["static"], anonymous=anonymous)
    following = f"attnprof report {shlex.join(map(str, folders))} --paper paper"
    return told(options["as_json"], written, (written,), following, first_claims(records))


def _listed(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


def told(as_json: bool, result: Path, files: Sequence[Path], following: str, claims: Sequence[str]) -> int:
    """Print where the page is and what it says first; 0, the exit code."""
    if as_json:
        emit({"path": str(result), "files": [str(path) for path in files], "claims": list(claims)})
    else:
        click.echo(str(result))
    console = notes()
    for claim in claims:
        console.print(claim, markup=False, highlight=False)
    console.print(f"{len(files)} file{'s' if len(files) != 1 else ''} written")
    if following:
        console.print(f"next: {following}", soft_wrap=True, markup=False)
    return 0
