"""The page of a report: one offline file whose first paint needs no script."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from attnprof import usercode
from attnprof.locate import shipped
from attnprof.measure.flags import FLAGS
from attnprof.quantities import COMPARED, TABULATED, WALL, Quantity
from attnprof.records import Record
from attnprof.render import bibliography, sections, table, templating
from attnprof.render.anonymous import anonymised
from attnprof.render.cards import cards
from attnprof.render.claims import Claim, findings
from attnprof.render.figures import Figure, figure
from attnprof.render.files import save
from attnprof.render.palette import styles
from attnprof.render.patterns import Picture, Pictures
from attnprof.render.pictures import data_uri
from attnprof.render.plotly_js import packed
from attnprof.render.runs import runs
from attnprof.render.series import Group, groups, latest, why
from attnprof.render.spec import spec
from attnprof.render.svg import draw
from attnprof.render.verdicts import opponents, verdict
from attnprof.render.wording import definitions
from attnprof.words import RecordKind, Status

TOOL = "attnprof"


def write_page(
    path: str | Path,
    records: Iterable[Record],
    header: Mapping[str, Any],
    *,
    picture: Pictures | None = None,
    plotly: bool = True,
    anonymous: bool = False,
) -> Path:
    """Write the page of these records to `path` and return it.

    `header` is the run's (`command`, `created_at`, `environment`, `plan`, `cards`, or several under `runs`).
    `picture(target)` gives the pooled mask of a scheme, or None (`patterns.catalogue_pictures(records)`); graph records
    that hold one under `metrics["image"]` need no function. Without `plotly` the page is about 2 MB smaller and its
    figures static. `anonymous` leaves out host, user, paths, device identifiers and the command. The same arguments
    give the same bytes.
    """
    path = Path(path)
    text = page(records, header, picture=picture, plotly=plotly, anonymous=anonymous)
    save(path, text.encode("utf-8", "backslashreplace"))
    return path


def page(
    records: Iterable[Record],
    header: Mapping[str, Any],
    *,
    picture: Pictures | None = None,
    plotly: bool = True,
    anonymous: bool = False,
) -> str:
    """The page as text; see `write_page`."""
    from markupsafe import Markup

    kept = latest(anonymised(records) if anonymous else records)
    graphs = [r for r in kept if r.kind is RecordKind.GRAPH]
    found = groups(kept)
    drawn = _drawn(found)
    style_of = styles(s for g in found for s in g.series)
    targets = sorted({r.point.target for r in kept})
    known = cards(targets, header)
    facts = findings(found, graphs)
    context: dict[str, Any] = {
        "header": {"version": None, **header},
        "title_targets": targets,
        "labels": list(style_of),
        "total": len(kept),
        "lengths": sorted({r.point.shape.n for r in kept}),
        "devices": sorted({r.point.place for r in kept if r.kind is RecordKind.COST}),
        "dtypes": sorted({r.point.shape.dtype for r in kept if r.kind is RecordKind.COST}),
        "runs": runs(header, anonymous=anonymous),
        "lead": _lead(facts),
        "findings": facts,
        "figures": drawn,
        "styles": list(style_of.values()),
        "verdicts": _matrix(found),
        "pictures": _pictures(targets, graphs, picture, known),
        "words": definitions()["word"],
        "flags": _flags(kept),
        "flagged": sum(bool(r.flags) for r in kept),
        "bibtex": _bibtex(targets, known),
        "css": Markup((shipped("reports") / "style" / "page.css").read_text(encoding="utf-8")),
        "script": Markup((templating.templates() / "page.js").read_text(encoding="utf-8")),
        "spec": Markup(spec({f["figure"].name: f["drawings"] for f in drawn}, list(style_of.items()))) if drawn else "",
        "plotly": Markup(packed()) if plotly and drawn else "",
        **_table(found),
    }
    context["sections"] = [section for section in sections.SECTIONS if section.shows(context)]
    return templating.html().get_template("page.html.j2").render(context)


def _drawn(found: Sequence[Group]) -> list[dict[str, Any]]:
    style_of = styles(s for g in found for s in g.series)
    figures = [(group, figure(group, style_of, f"figure-{k + 1}")) for k, group in enumerate(found)]
    return [_figure(group, f) for group, f in figures if f.panels]


def _figure(group: Group, found: Figure) -> dict[str, Any]:
    readings = [r for p in found.panels for line in p.lines for r in line.readings.values()]
    return {
        "figure": found,
        "drawings": [draw(p) for p in found.panels],
        "predicted": any(r.predicted for r in readings),
        "bars": any(r.high is not None for r in readings),
        "statuses": tuple(dict.fromkeys(s for p in found.panels for s in p.statuses)),
        "caption": _caption(found),
        "absent": _absent(group, found),
    }


def _caption(found: Figure) -> dict[str, Any] | None:
    """The cheapest line of the first panel at the longest length that any line reaches, beside the baseline there."""
    panel = found.panels[0]
    n = max(max(line.readings) for line in panel.lines)
    there = sorted((line for line in panel.lines if n in line.readings), key=lambda line: line.readings[n].value)
    ink = next((line for line in there if line.style.ink), None)
    rest = [line for line in there if not line.style.ink]
    if not rest:
        return None
    return {"metric": panel.metric, "n": n, "best": rest[0], "baseline": ink, "count": len(rest)}


def _absent(group: Group, found: Figure) -> list[tuple[Quantity, list[tuple[str, int]]]]:
    """Metrics of a device that no point of the figure has, though some were to be measured; with the statuses."""
    shown = {p.metric.key for p in found.panels}
    counts = Counter(r.status for r in group.records if r.status is not Status.OK)
    return [(WALL, sorted(counts.items()))] if counts and WALL.key not in shown else []


def _lead(facts: Sequence[Claim]) -> dict[str, Any] | None:
    """What the first comparison with a cheaper scheme says at its longest length; the first of all without one."""
    leads = [
        {"metric": finding.facts["metric"], "case": _at_longest(case)}
        for finding in facts
        if finding.kind == "crossing"
        for case in finding.facts["cases"]
    ]
    return next((lead for lead in leads if lead["case"]["below"]), leads[0] if leads else None)


def _at_longest(case: Mapping[str, Any]) -> dict[str, Any]:
    known = [v for kind in case["kinds"].values() for v in kind]
    longest = max(v.longest for v in known)
    there = [v for v in known if v.longest == longest]
    below = sorted((v for v in there if v.gain > 1), key=lambda v: (-v.gain, v.label))
    return {**case, "longest": longest, "total": len(there), "below": below}


def _matrix(found: Sequence[Group]) -> dict[str, Any] | None:
    """The verdicts of every scheme in every group and metric, against the baseline of each."""
    columns = [(g, [(m, b) for m in COMPARED for b in opponents(g, m)]) for g in found]
    columns = [(g, metrics) for g, metrics in columns if metrics]
    if not columns:
        return None
    by_label = [({s.label: s for s in g.series}, metrics) for g, metrics in columns]
    labels = dict.fromkeys(s.label for g, _ in columns for s in g.series if not s.baseline)
    rows = []
    for label in labels:
        cells = [
            (k == 0, verdict(series[label], base, metric) if label in series else None)
            for series, metrics in by_label
            for k, (metric, base) in enumerate(metrics)
        ]
        rows.append((label, cells))
    heads = [{"conditions": g.conditions, "metrics": [(m, b.label) for m, b in metrics]} for g, metrics in columns]
    return {"groups": heads, "rows": rows} if rows else None


def _table(found: Sequence[Group]) -> dict[str, Any]:
    conditions = [g.conditions for g in found]
    fixed = {
        (c.level, c.batch, c.tokens, c.dim, c.heads, c.kv_heads, c.keys, c.depth, c.dtype, c.device) for c in conditions
    }
    return {
        "rows": table.rows(found),
        "columns": table.columns(found),
        "place": {m.key: k for k, m in enumerate(TABULATED)},
        "common": conditions[0] if len(fixed) == 1 else None,
        "varying": len(fixed) > 1,
        "certificate": table.certificate,
        "reasons": table.reasons,
        "why": why,
        "exact": table.exact,
    }


def _pictures(
    targets: Sequence[str], graphs: Sequence[Record], picture: Pictures | None, known: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """One picture a target: of its graph record, else of the function given."""
    held = {r.point.target: r for r in graphs if (r.metrics or {}).get("image") is not None}
    found = []
    for target in targets:
        record = held.get(target)
        if record is not None:
            image = Picture((record.metrics or {})["image"], record.point.shape.n, record.point.shape.causal)
        else:
            image = picture(target) if picture else None
        if image is not None:
            facts = {"label": target, "picture": image, "card": known.get(target)}
            found.append({**facts, "uri": data_uri(image.values), "side": len(image.values)})
    return found


def _flags(records: Sequence[Record]) -> dict[str, str]:
    """What each flag of the records means, where it is one of a measurement's or of a user's code."""
    used = {flag for r in records for flag in r.flags}
    return {flag: text for flag, text in (FLAGS | usercode.FLAGS).items() if flag in used}


def _bibtex(targets: Sequence[str], known: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    keys = set(bibliography.cited(targets, known).values())
    return {"tool": bibliography.entry(TOOL), "schemes": bibliography.bibtex(keys), "count": len(keys)}
