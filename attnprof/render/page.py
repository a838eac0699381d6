"""The page of a report: one offline file that answers, on its first screen and without a script, what to use."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path

from attnprof.flags import FLAGS
from attnprof.quantities import Quantity
from attnprof.records import JsonDict, Record
from attnprof.render import bibliography, sections, table, templating
from attnprof.render.anonymous import anonymised
from attnprof.render.backends.svg import svg
from attnprof.render.cards import cards
from attnprof.render.claims import findings, told
from attnprof.render.claims.choice import WITHIN
from attnprof.render.claims.sight import graphs_of
from attnprof.render.files import save
from attnprof.render.layout.display import of_series
from attnprof.render.layout.scatter import NARROW, WIDE, Sees, scatter
from attnprof.render.pages import packing
from attnprof.render.pages.board import Board, memory_heads
from attnprof.render.pages.cells import head_of
from attnprof.render.pages.forms import card_forms
from attnprof.render.pages.multiples import multiples, pair_panel, reach_panel
from attnprof.render.pages.ran import states, strip
from attnprof.render.pages.scheme_cards import scheme_card
from attnprof.render.pages.view import PageView, curves_of, opening, views
from attnprof.render.palette import Style, families, family_of, styles
from attnprof.render.patterns import Pictures
from attnprof.render.plotly_js import packed, packed_text
from attnprof.render.runs import runs
from attnprof.render.series import Group, groups, latest, why
from attnprof.render.wording import definitions
from attnprof.words import RecordKind

TOOL = "attnprof"
USUAL_REACH = 2
MOST_RECORDS = 200


def write_page(
    path: str | Path,
    records: Iterable[Record],
    header: Mapping[str, object],
    *,
    picture: Pictures | None = None,
    plotly: bool = True,
    anonymous: bool = False,
) -> Path:
    """Write the page of these records to `path` and return it.

    `header` is the run's (`command`, `created_at`, `environment`, `plan`, `cards`, or several under `runs`).
    `picture(target)` gives the pooled mask of a scheme, or None (`patterns.catalogue_pictures(records)`); graph records
    that hold one under `metrics["image"]` need no function. Without `plotly` the page is about 2 MB smaller and cannot
    open its figures in plotly. `anonymous` leaves out host, user, paths, device identifiers and the command. The same
    arguments give the same bytes.
    """
    path = Path(path)
    text = page(records, header, picture=picture, plotly=plotly, anonymous=anonymous)
    save(path, text.encode("utf-8", "backslashreplace"))
    return path


def page(
    records: Iterable[Record],
    header: Mapping[str, object],
    *,
    picture: Pictures | None = None,
    plotly: bool = True,
    anonymous: bool = False,
) -> str:
    """The page as text; see `write_page`."""
    kept = latest(anonymised(records) if anonymous else records)
    graphs = graphs_of(kept)
    found = groups(kept)
    targets = sorted({r.point.target for r in kept})
    known = cards(targets, header)
    style_of = styles((s for g in found for s in g.series), known)
    seen = views(found, graphs, header)
    link = linker(found)
    told_of = findings(found)
    made = [
        scheme_card(
            target,
            [r for r in kept if r.point.target == target],
            graphs,
            known.get(target),
            family_of(target, known.get(target)),
            picture(target) if picture else None,
            card_forms(target, found),
        )
        for target in targets
    ]
    context: dict[str, object] = {
        "header": {"version": None, **header},
        "targets": targets,
        "total": len(kept),
        "costs": sum(r.kind is RecordKind.COST for r in kept),
        "runs": runs(header, anonymous=anonymous),
        "findings": [told.html(told.said(c), link) for c in told_of if c.kind != "unmeasured"],
        "unmeasured": [c for c in told_of if c.kind == "unmeasured"],
        "families": families(),
        "styles": style_of,
        "cards": made,
        "words": definitions()["word"],
        "flags": _flags(kept),
        "bibtex": _bibtex(targets, known),
        "strip": strip(seen, style_of),
        "states": states(seen),
        "css": templating.style("figure.css", "page.css"),
        "script": templating.script("save.js", "page.js"),
        "first": _first(seen, style_of, link),
        "told": lambda claim: told.html(told.said(claim), link),
        "views": seen,
        "data": _data(seen, style_of, link),
        "packed_records": _records(kept),
        "plotly": templating.safe(packed()) if plotly and found else "",
        **_table(found),
    }
    context["sections"] = [section for section in sections.SECTIONS if section.shows(context)]
    return templating.html().get_template("page.html.j2").render(context)


def linker(found: Sequence[Group]) -> packing.Link:
    """What makes a series' name the link to the card of its target."""
    targets = {s.label: s.target for g in found for s in g.series}

    def link(label: str) -> str:
        target = escape(targets.get(label, label))
        return f'<a class="s" data-l="{escape(label)}" href="#scheme-{target}">{escape(label)}</a>'

    return link


def _data(seen: Sequence[PageView], style_of: Mapping[str, Style], link: packing.Link) -> object:
    if not seen:
        return ""
    bases = list(dict.fromkeys(packing.base_text(v) for v in seen))
    return templating.safe(packing.packed(packing.payload(seen, style_of, link, bases)))


def _records(kept: Sequence[Record]) -> object:
    """The records themselves, as lines of JSON; empty where they are too many for one page."""
    if len(kept) > MOST_RECORDS:
        return ""
    lines = "".join(json.dumps(r.to_json(), ensure_ascii=False) + "\n" for r in kept)
    return templating.safe(packed_text(lines.encode("utf-8", "backslashreplace")))


def _first(seen: Sequence[PageView], style_of: Mapping[str, Style], link: packing.Link) -> JsonDict | None:
    """The first paint: the view to open with, drawn whole."""
    view = opening(seen)
    if view is None or view.usual is None:
        return None
    n, metric = view.usual, view.metrics[0]
    at = view.standing(metric, n)
    lead, beside, pins = packing.chosen(at, USUAL_REACH, style_of, link)
    names = {style.index: label for label, style in style_of.items()}
    board = Board(view, metric, style_of)
    rows = board.rows(n)
    tips = {row.style.index: row.whole_tip for row in rows}
    links = {style_of[s.label].index: f"scheme-{s.target}" for s in view.group.series}
    first = packing.first_labels(at)
    drawn = [scatter(at, Sees.KEYS, style_of, canvas, first) for canvas in (WIDE, NARROW)]
    kinds = curves_of(view)
    panels = multiples(view, kinds[0][0], kinds[0][1], style_of) if kinds else []
    pair = [d for d in (pair_panel(view, style_of), reach_panel(view, style_of)) if d is not None]
    return {
        "view": view,
        "n": n,
        "metric": metric,
        "head": head_of(metric),
        "memory": memory_heads(view),
        "lead": templating.safe(lead),
        "beside": templating.safe(beside),
        "pins": [(index, names[index]) for index in pins],
        "scatter": [
            templating.safe(svg(d, told_by, links if told_by else None, "scatter"))
            for d, told_by in zip(drawn, (tips, {}), strict=True)
            if d
        ],
        "rows": rows,
        "curve": kinds[0][0] if kinds else None,
        "curves": [kind for kind, _ in kinds],
        "panels": [templating.safe(svg(d)) for d in panels],
        "pair": [(d.title, templating.safe(svg(of_series(d, pins)))) for d in pair],
        "setting": told.plain(told.word("setting", view.conditions)),
        "base": packing.base_text(view),
        "settings": [told.plain(told.word("setting", v.conditions)) for v in seen],
        "state": json.dumps({"view": list(seen).index(view), "n": n, "metric": metric.key, "reach": USUAL_REACH}),
        "within": [packing.within_key(k) for k in WITHIN],
    }


def _table(found: Sequence[Group]) -> dict[str, object]:
    columns: tuple[Quantity, ...] = table.columns(found)
    return {
        "points": table.rows(found),
        "columns": columns,
        "place": table.place(columns),
        "why": why,
        "setting_of": lambda c: told.plain(told.word("setting", c)),
        "varying": len({(g.conditions.device, g.conditions.dtype, g.conditions.batch) for g in found}) > 1,
    }


def _flags(records: Sequence[Record]) -> list[tuple[str, int, str]]:
    """Each flag of the records that has a meaning of its own, the commonest first: how many carry it, what it means."""
    counts = Counter(flag for r in records for flag in r.flags if flag in FLAGS)
    return [(flag, k, FLAGS[flag].text) for flag, k in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]


def _bibtex(targets: Sequence[str], known: Mapping[str, Mapping[str, object]]) -> dict[str, object]:
    keys = set(bibliography.cited(targets, known).values())
    return {"tool": bibliography.entry(TOOL), "schemes": bibliography.bibtex(keys), "count": len(keys)}
