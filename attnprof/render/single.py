"""One figure of a report by its name: as a self-contained SVG, and as a figure of plotly."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape

from attnprof.errors import AttnprofError, unknown
from attnprof.locate import shipped
from attnprof.records import JsonObject, Record
from attnprof.render.backends.svg import num, svg
from attnprof.render.cards import cards
from attnprof.render.claims import told
from attnprof.render.claims.choice import choice
from attnprof.render.claims.sight import graphs_of
from attnprof.render.layout.display import Display
from attnprof.render.layout.scatter import WIDE, Sees, scatter
from attnprof.render.pages.chosen import PANELS, length_of
from attnprof.render.pages.multiples import multiples
from attnprof.render.pages.packing import first_labels
from attnprof.render.pages.view import PageView, curves_of, opening, views
from attnprof.render.palette import Style, styles
from attnprof.render.series import groups, latest
from attnprof.words import Pass

FIGURES = ("choice", "layers", *PANELS)
WITHIN = 2


@dataclass(frozen=True)
class DrawnFigure:
    """A figure with what it says: its panels, the caption, and the style of each series by number."""

    name: str
    panels: tuple[Display, ...]
    caption: str
    styles: Mapping[int, Style]
    labels: Mapping[int, str]


def drawn_figure(
    records: Iterable[Record],
    header: JsonObject,
    name: str = "choice",
    *,
    at: int | None = None,
    pass_: Pass | str | None = None,
    causal: bool | None = None,
) -> DrawnFigure:
    """The figure of that name: `choice` (cost against keys), `layers` (against reach), or a quantity against n.

    Without `pass_` and `causal` it is of the view that a page opens with; `at` is the n of a choice. Raises
    `AttnprofError` for an unknown name, and for what these records do not hold.
    """
    if name not in FIGURES:
        raise unknown("figure", name, FIGURES)
    kept = latest(records)
    found = groups(kept)
    seen = views(found, graphs_of(kept), header)
    view = _view(seen, None if pass_ is None else Pass(pass_), causal)
    known = cards({s.target for g in found for s in g.series}, header)
    style_of = styles((s for g in found for s in g.series), known)
    n = length_of(view, at)
    standing = view.standing(view.metrics[0], n)
    if name in ("choice", "layers"):
        sees = Sees.KEYS if name == "choice" else Sees.LAYERS
        one = scatter(standing, sees, style_of, WIDE, first_labels(standing))
        panels: tuple[Display, ...] = () if one is None else (one,)
        said = told.plain(told.said(choice(standing, WITHIN)))
    else:
        kinds = {kind.key: (kind, points) for kind, points in curves_of(view)}
        if PANELS[name] not in kinds:
            here = ", ".join(word for word, key in PANELS.items() if key in kinds)
            raise AttnprofError(f"no record of this pass holds {name}", hint=f"figures: choice, layers, {here}")
        kind, points = kinds[PANELS[name]]
        panels = tuple(multiples(view, kind, points, style_of))
        said = f"{kind.title} against n, {told.plain(told.word('setting', view.conditions))}"
    conditions = told.plain(told.word("conditions_text", view.conditions))
    labels = {style.index: label for label, style in style_of.items()}
    by_number = {style.index: style for style in style_of.values()}
    return DrawnFigure(name, panels, f"{said.rstrip('.')}. {conditions}. Made by attnprof.", by_number, labels)


def _view(seen: list[PageView], pass_: Pass | None, causal: bool | None) -> PageView:
    fitting = [
        v
        for v in seen
        if (pass_ is None or v.conditions.pass_ is pass_) and (causal is None or v.conditions.causal is causal)
    ]
    found = opening(fitting)
    if found is None:
        here = "; ".join(dict.fromkeys(told.plain(told.word("setting", v.conditions)) for v in seen))
        raise AttnprofError("these records hold no such points", hint=f"they hold: {here or 'no cost at all'}")
    return found


def figure_svg(found: DrawnFigure, across: int = 3) -> str:
    """The figure as one SVG file that needs nothing else: style, caption and colours are inside."""
    columns = 1 if len(found.panels) == 1 else min(across, len(found.panels))
    wide = max(d.width for d in found.panels) + 24
    high = max(d.height for d in found.panels) + 24
    width, height = columns * wide, -(-len(found.panels) // columns) * high
    css = (shipped("reports") / "style" / "figure.css").read_text(encoding="utf-8")
    used = {d.series for panel in found.panels for d in panel.dots}
    css += "".join(f".s{k}{{--c:{found.styles[k].light}}}" for k in sorted(used))
    css += "svg.alone{color-scheme:light}"
    kind = "scatter" if found.name in ("choice", "layers") else ""
    inner = "".join(
        f'<svg x="{num(k % columns * wide + 12)}" y="{num(k // columns * high + 12)}" {svg(d, kind=kind)[5:]}'
        for k, d in enumerate(found.panels)
    )
    size = f'width="{num(width)}" height="{num(height)}" viewBox="0 0 {num(width)} {num(height)}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="alone" {size}><title>{escape(found.panels[0].title)}</title>'
        f"<desc>{escape(found.caption)}</desc><style>{escape(css, quote=False)}</style>"
        f'<rect width="100%" height="100%" fill="#fdfcfa"/>{inner}</svg>\n'
    )
