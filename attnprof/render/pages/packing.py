"""Everything that a page can show beside its first paint, packed for its script: display lists, sentences, cells."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from html import escape
from typing import Any

from attnprof.quantities import FLOPS, Quantity
from attnprof.records import JsonDict
from attnprof.render.claims import told
from attnprof.render.claims.choice import LEAST, WITHIN, Ranking, choice
from attnprof.render.claims.evidence import VALUED, Evidence, PointState
from attnprof.render.claims.fact import Claim
from attnprof.render.layout.compact import STATES, VOCABULARY, compact
from attnprof.render.layout.curves import PanelBox
from attnprof.render.layout.scatter import NARROW, WIDE, Sees, scatter
from attnprof.render.numbers import quantity
from attnprof.render.pages.board import Board
from attnprof.render.pages.multiples import multiples, pair_panel, reach_panel
from attnprof.render.pages.view import CurveKind, PageView, curves_of
from attnprof.render.palette import Style
from attnprof.render.plotly_js import packed_text
from attnprof.units import format_length
from attnprof.words import Pass

Link = Callable[[str], str]
MOST_OPS = 5
LINEAR = ("t", "f", "p", "st")
ASKED = "\ue010"  # stands for what was asked for, in a sentence that is worded once


def packed(data: object) -> str:
    """JSON, packed; the same text for the same data."""
    return packed_text(json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode())


def payload(
    views: Sequence[PageView], styles: Mapping[str, Style], link: Link, bases: Sequence[str]
) -> dict[str, object]:
    """What the script is given. `bases` are the conditions that the views differ in beside pass and mask."""
    series = {s.label: s for v in views for s in v.group.series}
    said: dict[str, int] = {}
    shown = [_view(v, styles, link, bases, said) for v in views]
    return {
        "vocabulary": VOCABULARY,
        "series": [
            [label, styles[label].family, styles[label].marker, series[label].computed_by, series[label].target]
            for label in sorted(styles, key=lambda name: styles[name].index)
        ],
        "names": {str(n): format_length(n) for v in views for n in v.lengths},
        "bases": list(bases),
        "passes": [p.value for p in Pass],
        "least": list(LEAST),
        "doubts": doubts_table(),
        "said": [json.loads(text) for text in said],
        "views": shown,
    }


def doubts_table() -> dict[str, str]:
    """What a ratio of two states is said to rest on, for the pair that a reader pins: worded here as everywhere."""
    words = {
        PointState.COUNTED: "counted",
        PointState.MEASURED: "measured",
        PointState.FLAGGED: "measured, flagged as noisy",
        PointState.PREDICTED: "predicted, not run",
    }
    return {str(STATES.index(state)): words[state] for state in VALUED}


def within_key(within: int | None) -> str:
    """How the address writes a depth."""
    return "ever" if within is None else str(within)


def base_text(view: PageView) -> str:
    """The conditions of a view beside pass and mask."""
    return told.plain(told.word("conditions_text", view.conditions))


def _view(
    view: PageView, styles: Mapping[str, Style], link: Link, bases: Sequence[str], said: dict[str, int]
) -> dict[str, object]:
    c = view.conditions
    boards = {m.key: Board(view, m, styles) for m in view.metrics}
    return {
        "pass": c.pass_.value,
        "causal": -1 if c.causal is None else int(c.causal),
        "base": bases.index(base_text(view)),
        "lengths": list(view.lengths),
        "usual": view.usual,
        "peak": view.peak.told,
        "metrics": [[m.key, _title(m)] for m in view.metrics],
        "choice": {
            str(n): {m.key: _choices(view, m, n, styles, link, said) for m in view.metrics} for n in view.lengths
        },
        "rows": {str(n): _rows(boards[view.metrics[0].key], n) for n in view.lengths} if view.metrics else {},
        "cost": {key: _cost(board) for key, board in boards.items()},
        "scatter": {m.key: {str(n): _scatters(view, m, n, styles) for n in view.lengths} for m in view.metrics},
        "curves": {
            key: [title, [compact(d) for d in multiples(view, kind, points, styles, PanelBox(linear=linear))]]
            for kind, points in curves_of(view)
            for key, title, linear in _axes(kind)
        },
        "values": {
            kind.key: {str(styles[label].index): _values(found) for label, found in points.items()}
            for kind, points in curves_of(view)
            if not kind.derived
        },
        "pair": [compact(d) for d in (pair_panel(view, styles), reach_panel(view, styles)) if d is not None],
        "ops": {str(n): _ops(view, n, styles) for n in view.lengths},
    }


def _axes(kind: CurveKind) -> Iterator[tuple[str, str, bool]]:
    """A kind of curve on logarithmic axes, and the first ones that a reader asks for on linear ones too."""
    yield kind.key, kind.title, False
    if kind.key in LINEAR:
        yield f"{kind.key}-linear", f"{kind.title}, linear axes", True


def _title(metric: Quantity) -> str:
    short = {"wall_s": "time", "flops_executed": "FLOPs", "peak_bytes": "peak", "saved_bytes": "saved"}
    return short.get(metric.key, metric.title.lower())


def _choices(
    view: PageView, metric: Quantity, n: int, styles: Mapping[str, Style], link: Link, said: dict[str, int]
) -> dict[str, list[int]]:
    """For each depth and each of `LEAST` the number of its sentences among those said: many states say the same."""
    at = view.standing(metric, n)
    if not at.everyone:
        return {}

    made: dict[Hashable, tuple[str, ...]] = {}

    def numbered(within: int | None, least: float) -> int:
        text = json.dumps(chosen(at, within, styles, link, least, made), ensure_ascii=False)
        return said.setdefault(text, len(said))

    return {within_key(k): [numbered(k, least) for least in LEAST] for k in WITHIN}


def chosen(
    at: Ranking,
    within: int | None,
    styles: Mapping[str, Style],
    link: Link,
    least: float = 0.0,
    made: dict[Hashable, tuple[str, ...]] | None = None,
) -> list[Any]:
    """The sentence of a choice in two parts, and the series that it is about.

    What differs in nothing but what was asked for is worded once, where `made` keeps it.
    """
    made = {} if made is None else made
    claim = choice(at, within, least)
    facts = {**claim.facts, "asked": ASKED}
    roles = [facts[name] for name in ("best", "wider", "cheaper")] + list(facts["ties"])
    counts = (facts["reaching"], facts["valued"], facts["more_ties"], bool(least))
    key = (*counts, *(None if c is None else c.series.label for c in roles))
    if key not in made:
        worded = Claim("choice", facts, claim.points, claim.conditions, claim.lengths)
        made[key] = tuple(told.html(told.word(part, worded), link) for part in ("lead", "beside"))
    asked = escape(told.plain(told.word("within", within, least)))
    best, base = claim.facts["best"], claim.facts["baseline"]
    about = [c for c in (best, base) if c is not None]
    if best is None:
        about += [c for c in (claim.facts["cheaper"],) if c is not None]
    return [*(text.replace(ASKED, asked) for text in made[key]), [styles[c.series.label].index for c in about]]


def _rows(board: Board, n: int) -> list[list[object]]:
    return [
        [
            row.style.index,
            *(cell.packed() for cell in (row.params, *row.memory, row.keys, row.layers)),
            row.rest,
            _short(row.candidate.sight.share),
        ]
        for row in board.rows(n)
    ]


def _cost(board: Board) -> JsonDict:
    index = {s.label: board.styles[s.label].index for s in board.view.group.series}
    rows = {n: board.rows(n) for n in board.view.lengths}
    return {
        "spark": {str(index[label]): markup for label, markup in board.sparks.items()},
        "cheaper": {str(row.style.index): row.cheaper.packed() for found in rows.values() for row in found},
        "at": {
            str(n): [[row.style.index, row.cost.packed(), row.against.packed(), row.tip] for row in found]
            for n, found in rows.items()
        },
    }


def _scatters(view: PageView, metric: Quantity, n: int, styles: Mapping[str, Style]) -> JsonDict:
    at = view.standing(metric, n)
    first = first_labels(at)
    found = {}
    for sees in Sees:
        pair = [scatter(at, sees, styles, canvas, first) for canvas in (WIDE, NARROW)]
        if pair[0] is not None and pair[1] is not None:
            found[sees.value] = [compact(d) for d in pair if d is not None]
    return found


def first_labels(at: Ranking) -> list[str]:
    """The series that a choice tells of at any depth: their labels find a place before the others."""
    named: dict[str, None] = {}
    for k in WITHIN:
        facts = choice(at, k).facts
        for c in (facts["baseline"], facts["best"], facts["wider"], facts["cheaper"]):
            if c is not None:
                named[c.series.label] = None
    return list(named)


def _values(points: Mapping[int, Evidence]) -> list[list[object]]:
    """What a CSV of a figure and the ratio of a pinned pair are made of: n, value, bounds, state."""
    return [[n, _short(p.value), _short(p.low), _short(p.high), STATES.index(p.state)] for n, p in points.items()]


def _short(value: float | None) -> float | None:
    """To six digits; a whole number, of a count, stays exact."""
    if value is None:
        return None
    return int(value) if value == int(value) else float(f"{value:.6g}")


def _ops(view: PageView, n: int, styles: Mapping[str, Style]) -> JsonDict:
    """The operators that a count rests on, most work first."""
    found = {}
    for series in view.group.series:
        record = next((r for r in series.records if r.point.shape.n == n), None)
        if record is not None and record.cost is not None and record.cost.certificate is not None:
            ranked = sorted(record.cost.certificate.counted, key=lambda op: (-op.flops, op.op))
            listed = [[op.op, op.calls, quantity(op.flops, FLOPS.unit)] for op in ranked[:MOST_OPS] if op.flops]
            found[str(styles[series.label].index)] = listed
    return found
