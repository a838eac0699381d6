"""The files of a paper: figures, tables, data, bibliography, methods, appendix, and a document that compiles."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from attnprof.errors import AttnprofError, unknown
from attnprof.locate import shipped
from attnprof.records import Record
from attnprof.render import bibliography, templating
from attnprof.render.anonymous import anonymised
from attnprof.render.cards import cards
from attnprof.render.csv_export import panel_csv, points_csv
from attnprof.render.figures import Figure, Panel, figure
from attnprof.render.files import save
from attnprof.render.latex import latex
from attnprof.render.palette import styles
from attnprof.render.pgf import figure_tex
from attnprof.render.runs import runs
from attnprof.render.series import Conditions, Group, groups, latest
from attnprof.render.static import drawn
from attnprof.render.tables import table_context
from attnprof.render.wording import definitions

Files = Iterator[tuple[str, str | bytes]]


@cache
def venues() -> dict[str, dict[str, Any]]:
    """The widths of each venue, as `reports/style/venues.toml` states them."""
    return tomllib.loads((shipped("reports") / "style" / "venues.toml").read_text(encoding="utf-8"))


@dataclass(frozen=True, eq=False)
class Paper:
    """What every exporter reads: the groups of comparable records, their figures, the header, the venue."""

    groups: tuple[Group, ...]
    header: Mapping[str, Any]
    venue: Mapping[str, Any]
    anonymous: bool

    @cached_property
    def figures(self) -> tuple[tuple[Group, Figure], ...]:
        """Each group with its figure; groups without any value have none."""
        style_of = styles(s for g in self.groups for s in g.series)
        made = [(g, figure(g, style_of, slug(g.conditions, self.groups))) for g in self.groups]
        return tuple((g, f) for g, f in made if f.panels)

    @cached_property
    def targets(self) -> tuple[str, ...]:
        """The schemes that the records name."""
        return tuple(dict.fromkeys(s.target for g in self.groups for s in g.series))

    @cached_property
    def citations(self) -> dict[str, str]:
        """The BibTeX key of each scheme that has one."""
        return bibliography.cited(self.targets, cards(self.targets, self.header))

    @property
    def panel_pt(self) -> float:
        """The width of a panel of which two stand side by side on the page."""
        return min(self.venue["column_pt"], self.venue["text_pt"] / 2 - 4)


def write_paper(
    folder: str | Path,
    records: Iterable[Record],
    header: Mapping[str, Any],
    venue: str = "article",
    *,
    anonymous: bool = False,
) -> tuple[Path, ...]:
    """Write everything that a paper takes from these records into `folder`; the paths, in the order of writing.

    `venue` is a name of `reports/style/venues.toml`. `anonymous` leaves out host, user, paths, device identifiers and
    the command. The same arguments write the same bytes. Raises `AttnprofError` for an unknown venue or no records.
    """
    if venue not in venues():
        raise unknown("venue", venue, venues())
    kept = groups(latest(anonymised(records) if anonymous else records))
    if not kept:
        raise AttnprofError("these runs hold no cost record to write a paper from", hint="run `attnprof sweep` first")
    paper = Paper(kept, header, venues()[venue], anonymous)
    written = []
    for export in EXPORTERS:
        for name, content in export(paper):
            path = Path(folder) / name
            save(path, content if isinstance(content, bytes) else content.encode())
            written.append(path)
    return tuple(written)


def slug(conditions: Conditions, among: Sequence[Group]) -> str:
    """A short file name for a group, with a number where pass and causality do not tell it from the others."""
    name = _slug(conditions)
    same = [g.conditions for g in among if _slug(g.conditions) == name]
    return name if len(same) == 1 else f"{name}-{same.index(conditions) + 1}"


def _slug(conditions: Conditions) -> str:
    causality = {True: "causal", False: "bidirectional", None: "unknown"}[conditions.causal]
    return f"{conditions.pass_}-{causality}"


def panels(paper: Paper) -> Files:
    """pgfplots source of every panel, its data beside it."""
    for group, found in paper.figures:
        for panel in found.panels:
            name = panel_name(found, panel)
            about = {"conditions": told(group.conditions), "data": f"{name}.csv"}
            yield f"{name}.tex", figure_tex(panel, paper.panel_pt, about)
            yield f"{name}.csv", panel_csv(group, panel.metric)


def images(paper: Paper) -> Files:
    """The same panels as PDF and SVG, where matplotlib can be imported."""
    for _, found in paper.figures:
        for panel in found.panels:
            for suffix, content in drawn(panel, paper.panel_pt):
                yield f"{panel_name(found, panel)}.{suffix}", content


def tables(paper: Paper) -> Files:
    """A booktabs table for every group."""
    for group, found in paper.figures:
        context = {**table_context(group, paper.citations), "conditions": told(group.conditions)}
        yield f"tab-{found.name}.tex", latex().get_template("table.tex.j2").render(context)


def data(paper: Paper) -> Files:
    """Every record as one row."""
    yield "points.csv", points_csv(paper.groups)


def references(paper: Paper) -> Files:
    """The BibTeX entries of every scheme named, and of the tool."""
    yield "references.bib", bibliography.bibtex(["attnprof", *paper.citations.values()])


def prose(paper: Paper) -> Files:
    """The methods paragraph, the appendix on the environment, and a document around all files."""
    render = latex().get_template
    yield "methods.tex", render("methods.tex.j2").render(_methods(paper))
    found = {"runs": runs(paper.header, anonymous=paper.anonymous), "words": definitions()["word"]}
    yield "appendix.tex", render("appendix.tex.j2").render(found)
    yield "main.tex", render("main.tex.j2").render(_document(paper))


EXPORTERS: tuple[Callable[[Paper], Files], ...] = (panels, tables, data, references, prose, images)


def panel_name(found: Figure, panel: Panel) -> str:
    """The file name of a panel, without its ending."""
    return f"fig-{found.name}-{panel.metric.key.replace('_', '-')}"


def told(conditions: Conditions) -> str:
    """The fixed conditions of a group in the words of the page."""
    return f"{_words().setting(conditions)}; {_words().fixed(conditions)}"


@cache
def _words() -> Any:
    return templating.html().get_template("conditions.j2").module


def _settings(found: Sequence[Group]) -> dict[str, list[str]]:
    """Passes and causalities by the conditions that they share."""
    shared: dict[str, list[str]] = {}
    for group in found:
        shared.setdefault(str(_words().fixed(group.conditions)), []).append(str(_words().setting(group.conditions)))
    return shared


def _methods(paper: Paper) -> dict[str, Any]:
    records = [r for g in paper.groups for r in g.records]
    samples = [len(r.measured.wall_s.samples) for r in records if r.measured and r.measured.wall_s]
    known = [s for s in samples if s]
    statuses = [s for s in definitions()["status"] if s not in ("ok", "missing")]
    counts = [(s, sum(r.status == s for r in records)) for s in statuses]
    return {
        "schemes": [{"target": t, "cite": paper.citations.get(t)} for t in paper.targets],
        "version": paper.header.get("version"),
        "lengths": sorted({n for g in paper.groups for n in g.lengths}),
        "conditions": _settings(paper.groups),
        "samples": {"least": min(known), "most": max(known)} if known else None,
        "counts": [(s, count) for s, count in counts if count],
        "total": len(records),
    }


def _document(paper: Paper) -> dict[str, Any]:
    found = [
        {
            "caption": f"{told(g.conditions)}.",
            "panels": [{"file": panel_name(f, p), "title": p.metric.title} for p in f.panels],
        }
        for g, f in paper.figures
    ]
    made = [{"file": f"tab-{f.name}", "caption": f"{told(g.conditions)}."} for g, f in paper.figures]
    return {
        "venue": paper.venue,
        "anonymous": paper.anonymous,
        "title": "The cost of attention as the sequence grows",
        "figures": found,
        "tables": made,
    }
