"""Jinja2 as the templates of `reports/` expect it: strict, without surprises of white space."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from attnprof import flags, units
from attnprof.locate import shipped
from attnprof.render import numbers, wording

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

SHARED: dict[str, object] = {
    "length": units.format_length,
    "around": numbers.around,
    "span": numbers.span,
    "quantity": numbers.quantity,
    "power": numbers.power,
    "ratio": numbers.ratio,
    "factor": numbers.factor,
    "percent": numbers.percent,
    "count": numbers.count,
    "metric_title": wording.metric_title,
    "metric_short": wording.metric_short,
    "metric_phrase": wording.metric_phrase,
    "status_title": wording.status_title,
    "status_text": wording.status_text,
    "status_short": wording.status_short,
    "interval": numbers.interval,
    "state_word": wording.state_word,
    "state_glyph": wording.state_glyph,
    "flag_phrase": flags.phrase,
    "flag_phrases": flags.phrases,
}


def templates() -> Path:
    """The folder of the templates."""
    return shipped("reports") / "templates"


def safe(text: str) -> Markup:
    """Markup that a template takes as it is."""
    from markupsafe import Markup as Made

    return Made(text)


def style(*names: str) -> Markup:
    """Style sheets of `reports/style`, one after the other."""
    folder = shipped("reports") / "style"
    return safe("\n".join((folder / name).read_text(encoding="utf-8") for name in names))


def script(*names: str) -> Markup:
    """Scripts of `reports/templates`, one after the other."""
    return safe("\n".join((templates() / name).read_text(encoding="utf-8") for name in names))


@cache
def html() -> Environment:
    """The environment of the page: everything that is put into a template is escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    found = Environment(
        loader=FileSystemLoader(templates()), undefined=StrictUndefined, autoescape=True, trim_blocks=False
    )
    found.globals.update(SHARED)
    return found
