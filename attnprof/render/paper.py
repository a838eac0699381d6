"""The files of a paper: figures, tables, data, numbers, references, methods, appendix, and a document around them."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from attnprof.errors import AttnprofError, unknown
from attnprof.locate import shipped
from attnprof.records import JsonObject, Record
from attnprof.render import bibliography
from attnprof.render.anonymous import anonymised
from attnprof.render.backends.images import drawn
from attnprof.render.backends.pgf import tikz
from attnprof.render.cards import cards
from attnprof.render.claims import findings, told
from attnprof.render.claims.evidence import PointState
from attnprof.render.claims.sight import graphs_of
from attnprof.render.csv_export import curve_csv, points_csv
from attnprof.render.files import save
from attnprof.render.latex import latex
from attnprof.render.layout.curves import Curve
from attnprof.render.layout.display import Display
from attnprof.render.layout.sheet import PanelPlan, sheet
from attnprof.render.macros import macros
from attnprof.render.pages.chosen import length_of, panels_named, panels_of, refuse_unknown, series_of
from attnprof.render.pages.paper_table import PaperTable, paper_table
from attnprof.render.pages.view import CurveKind, PageView, views
from attnprof.render.palette import Style, styles
from attnprof.render.runs import runs
from attnprof.render.series import Conditions, Group, Series, groups, latest
from attnprof.render.wording import definitions

Files = Iterator[tuple[str, str | bytes]]


@cache
def venues() -> dict[str, dict[str, object]]:
    """The widths of each venue, as `reports/style/venues.toml` states them."""
    return tomllib.loads((shipped("reports") / "style" / "venues.toml").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class PaperFigure:
    """One figure: a view with the series and panels chosen of it, at the n of its table, drawn at the venue's width."""

    view: PageView
    name: str
    series: tuple[Series, ...]
    kinds: tuple[CurveKind, ...]
    n: int
    whole: Display
    panels: tuple[Display, ...]


@dataclass(frozen=True, eq=False)
class Paper:
    """What every exporter reads: the comparable records, their figures, the header, the venue, what was asked for."""

    groups: tuple[Group, ...]
    header: Mapping[str, object]
    venue: JsonObject
    anonymous: bool
    graphs: Any = field(default_factory=dict)
    schemes: tuple[str, ...] = ()
    panel_names: tuple[str, ...] = ()
    at: int | None = None

    @cached_property
    def views(self) -> list[PageView]:
        """A view for each group that has a value in anything."""
        return [v for v in views(self.groups, self.graphs, self.header) if v.metrics]

    @cached_property
    def cards(self) -> dict[str, dict[str, object]]:
        """The card of each target that has one."""
        return cards(self.targets, self.header)

    @cached_property
    def styles(self) -> dict[str, Style]:
        """A style for each label, the same in every figure."""
        return styles((s for g in self.groups for s in g.series), self.cards)

    @cached_property
    def by_number(self) -> dict[int, Style]:
        """The styles by the numbers that display lists use."""
        return {style.index: style for style in self.styles.values()}

    @cached_property
    def figures(self) -> tuple[PaperFigure, ...]:
        """A figure for each view in which anything chosen has a value."""
        found = [self._figure(view) for view in self.views]
        return tuple(f for f in found if f is not None)

    def _figure(self, view: PageView) -> PaperFigure | None:
        n = length_of(view, self.at)
        series = series_of(view, self.schemes, n)
        kinds = panels_of(view, self.panel_names)
        found = [(kind, [(s, kind.points(view, s)) for s in series]) for kind in kinds]
        plans = [
            PanelPlan(kind.title, kind.unit, [Curve(s.label, self.styles[s.label], points) for s, points in pairs])
            for kind, pairs in found
            if any(p.state.valued for _, points in pairs for p in points.values())
        ]
        if not plans:
            return None
        title = f"{view.conditions.pass_}, {told.plain(told.word('causality', view.conditions))}"
        whole, panels = sheet(title, plans, view.lengths, self.venue["text_pt"])
        return PaperFigure(view, slug(view.conditions, self.groups), tuple(series), tuple(kinds), n, whole, panels)

    @cached_property
    def targets(self) -> tuple[str, ...]:
        """The schemes that the records name."""
        return tuple(dict.fromkeys(s.target for g in self.groups for s in g.series))

    @cached_property
    def citations(self) -> dict[str, str]:
        """The BibTeX key of each scheme that has one."""
        return bibliography.cited(self.targets, self.cards)

    @cached_property
    def tables(self) -> tuple[tuple[PaperFigure, PaperTable], ...]:
        """The table of each figure."""
        return tuple((f, paper_table(f.view, f.series, f.n, self.citations)) for f in self.figures)


def write_paper(
    folder: str | Path,
    records: Iterable[Record],
    header: Mapping[str, object],
    venue: str = "article",
    *,
    anonymous: bool = False,
    schemes: Sequence[str] = (),
    panels: Sequence[str] = (),
    at: int | None = None,
) -> tuple[Path, ...]:
    """Write everything that a paper takes from these records into `folder`; the paths, in the order of writing.

    `venue` is a name of `reports/style/venues.toml`. `schemes` are at most nine labels or targets (default: the
    baselines and the front), `panels` at most four names, `at` the n of tables and numbers (default: the longest at
    which a baseline has a value). `anonymous` leaves out host, user, paths, device identifiers and the command. The
    same arguments write the same bytes. Raises `AttnprofError` for an unknown word, for a selection that could not be
    read, and where there are no records.
    """
    if venue not in venues():
        raise unknown("venue", venue, venues())
    kept = latest(anonymised(records) if anonymous else records)
    found = groups(kept)
    if not found:
        raise AttnprofError("these runs hold no cost record to write a paper from", hint="run `attnprof sweep` first")
    asked = panels_named(panels)
    paper = Paper(found, header, venues()[venue], anonymous, graphs_of(kept), tuple(schemes), asked, at)
    refuse_unknown(paper.views, paper.schemes)
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


def figures(paper: Paper) -> Files:
    """TikZ source of every figure, and the data of each of its panels."""
    for f in paper.figures:
        yield f"fig-{f.name}.tex", tikz(f.whole, paper.by_number, setting(f))
        for kind in f.kinds:
            yield f"fig-{f.name}-{kind.key}.csv", curve_csv(f.view, kind, f.series)


def images(paper: Paper) -> Files:
    """The same figures as PDF and SVG, where matplotlib can be imported."""
    for f in paper.figures:
        for suffix, content in drawn(f.whole, paper.by_number):
            yield f"fig-{f.name}.{suffix}", content


def tables(paper: Paper) -> Files:
    """A booktabs table for every figure."""
    for f, table in paper.tables:
        context = {"table": table, "setting": setting(f), "narrow": paper.venue["text_pt"] < 400}
        yield f"tab-{f.name}.tex", latex().get_template("table.tex.j2").render(context)


def numbers(paper: Paper) -> Files:
    """A macro for each number of the tables, so that prose cannot go stale."""
    yield "numbers.tex", macros([(f.view, f.series, f.n, f.name) for f in paper.figures])


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


EXPORTERS: tuple[Callable[[Paper], Files], ...] = (figures, tables, numbers, data, references, prose, images)


def setting(f: PaperFigure) -> str:
    """The conditions of a figure in the words of the page."""
    words = (told.word(name, f.view.conditions) for name in ("setting", "conditions_text"))
    return "; ".join(told.plain(word) for word in words)


def caption(f: PaperFigure) -> str:
    """A caption that needs nothing else: what is shown, where, what every mark means, what is doubtful."""
    points = [p for kind in f.kinds for s in f.series for p in kind.points(f.view, s).values()]
    there = {p.state for p in points}
    measured = [p for p in points if p.state in (PointState.MEASURED, PointState.FLAGGED)]
    facts = {
        "titles": [kind.title for kind in f.kinds],
        "lengths": f.view.lengths,
        "states": {state.value for state in there},
        "flagged": sum(p.state is PointState.FLAGGED for p in measured),
        "measured": len(measured),
        "bounded": any(p.low is not None for p in points),
        "series": [(s.label, s.computed_by) for s in f.series],
        "conditions": f.view.conditions,
    }
    return told.latex_text(told.word("figure_caption", facts))


def table_caption(f: PaperFigure, table: PaperTable) -> str:
    """The caption of a table, with every mark that occurs in it."""
    at = f.view.standing(f.view.metrics[0], f.n)
    base = None if at.baseline is None else at.baseline.series.label
    facts = {"n": f.n, "conditions": f.view.conditions, "table": table, "baseline": base}
    return told.latex_text(told.word("table_caption", facts))


def _methods(paper: Paper) -> dict[str, object]:
    records = [r for g in paper.groups for r in g.records]
    timed = [r.measured.wall_s for r in records if r.measured and r.measured.wall_s]
    samples = [len(i.samples) for i in timed if i.samples]
    rounds = [len(i.rounds) for i in timed if i.rounds]
    shared: dict[str, list[str]] = {}
    for group in paper.groups:
        c = group.conditions
        fixed = told.plain(told.word("conditions_text", c))
        shared.setdefault(fixed, []).append(told.plain(told.word("setting", c)))
    claims = [c for c in findings(paper.groups) if c.kind in ("flagged", "unmeasured", "opinion")]
    used = {s.label: s for f in paper.figures for s in f.series}
    return {
        "schemes": [{"target": t, "cite": paper.citations.get(t)} for t in paper.targets],
        "version": paper.header.get("version"),
        "lengths": sorted({n for g in paper.groups for n in g.lengths}),
        "conditions": shared,
        "samples": {"least": min(samples), "most": max(samples)} if samples else None,
        "rounds": {"least": min(rounds), "most": max(rounds)} if rounds else None,
        "claims": [told.latex_text(told.said(c)) for c in claims],
        "impls": [(label, told.word("by", s.computed_by)) for label, s in used.items()],
        "params": [(label, _params(s)) for label, s in used.items() if _params(s)],
    }


def _params(series: Series) -> str:
    """The parameters of a series at its longest n."""
    last = series.records[-1].point.params
    return ", ".join(f"{k} {v}" for k, v in last.items())


def _document(paper: Paper) -> dict[str, object]:
    return {
        "venue": paper.venue,
        "anonymous": paper.anonymous,
        "title": "The cost of attention as the sequence grows",
        "figures": [{"file": f"fig-{f.name}", "caption": caption(f)} for f in paper.figures],
        "tables": [{"file": f"tab-{f.name}", "caption": table_caption(f, table)} for f, table in paper.tables],
    }
