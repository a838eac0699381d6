"""A display list as the short JSON that the page's script draws."""

from __future__ import annotations

from attnprof.render.claims.evidence import PointState
from attnprof.render.layout.display import Anchor, Display, Lettering, Role, Scale

MARKERS = ("circle", "square", "diamond", "up", "down", "cross", "plus")
ROLES, STATES, LETTERS, ANCHORS = tuple(Role), tuple(PointState), tuple(Lettering), tuple(Anchor)
VOCABULARY = {
    "roles": [r.value for r in ROLES],
    "states": [s.value for s in STATES],
    "letters": [t.value for t in LETTERS],
    "anchors": [a.value for a in ANCHORS],
    "markers": list(MARKERS),
}


def compact(display: Display) -> list[object]:
    """Width, height, title, scales, strokes, dots by column, texts; words as places in `VOCABULARY`, labels as 0."""
    strokes = [
        [ROLES.index(s.role), -1 if s.series is None else s.series, *(_short(v) for p in s.places for v in p)]
        for s in display.strokes
    ]
    dots = [
        [_short(d.x), _short(d.y), _short(d.r), STATES.index(d.state), d.series, MARKERS.index(d.marker), d.n or 0]
        for d in display.dots
    ]
    texts = [
        [
            _short(t.x),
            _short(t.y),
            0 if t.role is Lettering.LABEL and t.series is not None else t.text,
            LETTERS.index(t.role),
            ANCHORS.index(t.anchor),
            _short(t.size),
            -1 if t.series is None else t.series,
        ]
        for t in display.texts
    ]
    size = [display.width, display.height, display.title]
    columns = [list(column) for column in zip(*dots, strict=True)]  # a column of like numbers packs to a third of rows
    return [*size, _scale(display.x), _scale(display.y), strokes, columns, texts]


def _scale(s: Scale) -> list[object]:
    return [
        round(s.start, 1),
        round(s.end, 1),
        float(f"{s.low:.6g}"),
        float(f"{s.high:.6g}"),
        int(s.log),
        list(s.ticks),
    ]


def _short(value: float) -> float:
    """To a tenth, whole numbers as such."""
    tenth = round(value, 1)
    return int(tenth) if tenth == int(tenth) else tenth
