"""`attnprof report`: the page of one or several runs, one figure of it, and the files of a paper."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from attnprof.cli.options import AS_JSON, CAUSAL, OUT, WordParam, emit, notes
from attnprof.errors import AttnprofError
from attnprof.words import Pass

EXAMPLES = """\b
Examples:
  attnprof report attnprof-runs/3f2a91c07be4d518                 write its report.html again
  attnprof report laptop server --out both.html                  one page of two runs
  attnprof report RUN --figure choice --at 8k                    one self-contained SVG
  attnprof report RUN --paper paper --venue icml                 figures, tables, numbers, bibliography, methods
  attnprof report RUN --paper paper --schemes bigbird,longformer,flash --panels time,memory --at 16k
  attnprof report RUN --paper paper --venue acl --anonymous      the same for a blind review
"""


@click.command(epilog=EXAMPLES)
@click.argument("folders", nargs=-1, required=True, metavar="RUN...", type=click.Path(path_type=Path))
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
@OUT
@AS_JSON
def command(folders: Sequence[Path], **options: Any) -> int:
    """Write the page of RUNs, the folders that `attnprof sweep` and `attnprof graph` leave.

    Points of different runs stand on one page; they are compared only if the runs come from the same machine and
    software. With --figure: one figure as SVG. With --paper: TikZ figures, booktabs tables, a macro for every number,
    CSV data, BibTeX, a methods paragraph, an appendix. Prints what the page says first.
    """
    from attnprof.render.joined import joined
    from attnprof.store import RunFolder

    records, header = joined([RunFolder.open(folder) for folder in folders])
    if options["figure"] is not None:
        return _figure(folders, records, header, options)
    if options["paper"] is not None:
        return _paper(options["paper"], records, header, options)
    return _page(folders, records, header, options)


def _at(options: Mapping[str, Any]) -> int | None:
    from attnprof.units import parse_length

    return parse_length(options["length"]) if options["length"] else None


def _figure(folders: Sequence[Path], records: Any, header: Mapping[str, Any], options: Mapping[str, Any]) -> int:
    from attnprof.render import drawn_figure, figure_svg
    from attnprof.render.files import save

    name = options["figure"]
    found = drawn_figure(records, header, name, at=_at(options), pass_=options["pass_"], causal=options["causal"])
    if not found.panels:
        raise AttnprofError(f"nothing has a value in the figure {name}", hint="choose another --at or --pass")
    path = options["out"] or folders[0] / f"{name}.svg"
    save(path, figure_svg(found).encode())
    return _told(options["as_json"], path, (path,), "", [found.caption])


def _paper(paper: Path, records: Any, header: Mapping[str, Any], options: Mapping[str, Any]) -> int:
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
    return _told(options["as_json"], paper, written, following, [])


def _page(folders: Sequence[Path], records: Any, header: Mapping[str, Any], options: Mapping[str, Any]) -> int:
    from attnprof.render import write_page
    from attnprof.render.claims.first import first_claims
    from attnprof.render.patterns import catalogue_pictures

    page = options["out"] or folders[0] / "report.html"
    page = page / "report.html" if page.is_dir() else page
    pictures = catalogue_pictures(records)
    anonymous = options["anonymous"]
    written = write_page(page, records, header, picture=pictures, plotly=not options["static"], anonymous=anonymous)
    following = f"attnprof report {shlex.join(map(str, folders))} --paper paper"
    return _told(options["as_json"], written, (written,), following, first_claims(records))


def _listed(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


def _told(as_json: bool, result: Path, files: Sequence[Path], following: str, claims: Sequence[str]) -> int:
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
