"""The page of models and stacks: one offline file that reads without scripts; a script only changes what is shown."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from attnprof.errors import AttnprofError
from attnprof.records import JsonObject
from attnprof.render import templating
from attnprof.render.backends.svg import svg
from attnprof.render.claims import of_models
from attnprof.render.files import save
from attnprof.render.layout.display import Display
from attnprof.render.pages.model_cells import Cells, cells, markup, passes_at, rows, state_of_cell
from attnprof.render.pages.model_figures import ModelFigures
from attnprof.render.subjects.model_subject import PASSES, ModelSubject
from attnprof.units import format_length

if TYPE_CHECKING:
    from markupsafe import Markup

USUAL_LENGTH = 131072
LEADS = 2  # models of which the sentence is set large


@dataclass(frozen=True)
class ModelEntry:
    """All that the page shows of one model: markup of its figures, wide and narrow, and its cells."""

    subject: ModelSubject
    cells: Cells
    strips: Sequence[Markup]
    parts: Mapping[str, Sequence[Markup]]
    kept: Markup | None
    rule: str
    made_of: Markup
    seen: Markup
    fitting: Markup
    passing: Mapping[str, str]


def write_model_page(path: str | Path, subjects: Sequence[ModelSubject], header: JsonObject) -> Path:
    """Write the page of these models to `path` and return it. The same arguments give the same bytes.

    `header` holds `command`, `version`, and of what fits `memory` (in words) and `weights` (their precision), `caches`
    (that of keys and values). Raises `AttnprofError` without a model.
    """
    path = Path(path)
    save(path, model_page(subjects, header).encode("utf-8", "backslashreplace"))
    return path


def model_page(subjects: Sequence[ModelSubject], header: JsonObject) -> str:
    """The page as text; see `write_model_page`."""
    if not subjects:
        raise AttnprofError("a page of models needs one", hint="attnprof report hf:gpt_oss_20b")
    lengths = tuple(sorted({n for s in subjects for n in s.lengths}))
    now = usual(lengths)
    figures = ModelFigures(subjects, lengths, now)
    kept = figures.kept_all()
    entries = [_entry(figures, s, k, header) for s, k in zip(subjects, kept, strict=True)]
    shares = {p: [_drawn(d) for d in figures.share(p)] for p in PASSES}
    context = {
        "header": {**dict.fromkeys(("command", "version", "caches", "memory", "weights"), ""), **header},
        "entries": entries,
        "models": figures.models,
        "styles": figures.styles,
        "lengths": lengths,
        "passes": PASSES,
        "length_options": [(n, format_length(n)) for n in lengths],
        "pass_options": [(p, p) for p in PASSES],
        "model_options": [(k, s.label) for k, s in enumerate(subjects)],
        "now": now,
        "pass_": PASSES[0],
        "leads": LEADS,
        "shares": shares,
        "share_rules": {p: [_rule(d, lengths) for d in figures.share(p)] for p in PASSES},
        "reach": [_drawn(d) for d in figures.reach()],
        "at": state_of_cell,
        "data": templating.safe(_data(entries, lengths, now, rows(subjects))),
        "css": templating.style("figure.css", "page.css", "model.css"),
        "script": templating.script("save.js", "model.js"),
    }
    return templating.html().get_template("model.html.j2").render(context)


def usual(lengths: Sequence[int]) -> int:
    """The length to open with: the longest that is no longer than 128k."""
    return max((n for n in lengths if n <= USUAL_LENGTH), default=min(lengths))


def _entry(figures: ModelFigures, subject: ModelSubject, kept: Display | None, header: JsonObject) -> ModelEntry:
    parts = {p: [figures.parts(subject, p, shares=shares) for shares in (True, False)] for p in PASSES}
    made = cells(subject, figures.lengths)
    return ModelEntry(
        subject,
        {key: {at: templating.safe(text) for at, text in cell.items()} for key, cell in made.items()},
        [_drawn(d) for d in figures.strip(subject)],
        {p: [_drawn(d) for d in drawn if d is not None] for p, drawn in parts.items()},
        None if kept is None else _drawn(kept),
        "" if kept is None else _rule(kept, figures.lengths),
        templating.safe(markup(of_models.made_of(subject))),
        templating.safe(markup(of_models.seen(subject))),
        templating.safe(markup(of_models.fitting(subject, header.get("memory", ""), header.get("weights", "")))),
        {p: passes_at(subject, p) for p in PASSES},
    )


def _rule(drawn: Display, lengths: Sequence[int]) -> str:
    """Where the rule of a figure stands at each length."""
    return " ".join(f"{n}:{round(drawn.x.at(n), 1):g}" for n in lengths)


def _drawn(drawn: Display) -> Markup:
    return templating.safe(svg(drawn))


def _data(
    entries: Sequence[ModelEntry], lengths: Sequence[int], now: int, tables: Mapping[str, Sequence[Sequence[object]]]
) -> str:
    """What the script sets: cells of every state, names, the opening state, and the files to be downloaded."""
    held = {
        "names": [e.subject.label for e in entries],
        "lengths": {n: format_length(n) for n in lengths},
        "passes": PASSES,
        "opening": {"n": now, "pass": PASSES[0]},
        "cells": [e.cells for e in entries],
        "passing": [e.passing for e in entries],
        "csv": {name: _csv(table) for name, table in tables.items()},
    }
    return json.dumps(held, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def _csv(table: Sequence[Sequence[object]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(table)
    return out.getvalue()
