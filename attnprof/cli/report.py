"""`attnprof report`: the page of one or several runs, and the files of a paper."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from attnprof.cli.options import AS_JSON, OUT, emit, notes

EXAMPLES = """\b
Examples:
  attnprof report attnprof-runs/3f2a91c07be4d518                 write its report.html again
  attnprof report laptop server --out both.html                  one page of two runs
  attnprof report RUN --paper paper --venue icml                 figures, tables, bibliography, methods
  attnprof report RUN --paper paper --venue acl --anonymous      the same for a blind review
"""


@click.command(epilog=EXAMPLES)
@click.argument("folders", nargs=-1, required=True, metavar="RUN...", type=click.Path(path_type=Path))
@click.option("--paper", type=click.Path(path_type=Path), help="Folder for the files of a paper, in place of the page.")
@click.option("--venue", default="article", show_default=True, help="article, neurips, icml, acl or ieee2col: widths.")
@click.option("--anonymous", is_flag=True, help="Leave out host, user, paths, device identifiers and the command.")
@click.option("--static", is_flag=True, help="A page without plotly: 2 MB smaller, its figures do not move.")
@OUT
@AS_JSON
def command(
    folders: Sequence[Path],
    paper: Path | None,
    venue: str,
    anonymous: bool,
    static: bool,
    out: Path | None,
    as_json: bool,
) -> int:
    """Write the page of RUNs, the folders that `attnprof sweep` and `attnprof graph` leave.

    Points of different runs stand on one page; they are compared only if the runs come from the same machine and
    software. With --paper: pgfplots figures, booktabs tables, CSV data, BibTeX, a methods paragraph, an appendix.
    """
    from attnprof.render import write_page, write_paper
    from attnprof.render.joined import joined
    from attnprof.render.patterns import catalogue_pictures
    from attnprof.store import RunFolder

    records, header = joined([RunFolder.open(folder) for folder in folders])
    if paper is not None:
        written = write_paper(paper, records, header, venue, anonymous=anonymous)
        return _told(as_json, paper, written, f"cd {paper} && pdflatex main && bibtex main && pdflatex main")
    page = out or folders[0] / "report.html"
    page = page / "report.html" if page.is_dir() else page
    pictures = catalogue_pictures(records)
    written = write_page(page, records, header, picture=pictures, plotly=not static, anonymous=anonymous)
    return _told(as_json, written, (written,), f"attnprof report {' '.join(map(str, folders))} --paper paper")


def _told(as_json: bool, result: Path, files: Sequence[Path], following: str) -> int:
    if as_json:
        emit({"path": str(result), "files": [str(path) for path in files]})
    else:
        click.echo(str(result))
    console = notes()
    console.print(f"{len(files)} file{'s' if len(files) != 1 else ''} written")
    console.print(f"next: {following}", soft_wrap=True)
    return 0
