"""The card of each target: what it is, what it sees, its parameters with their sources, its operators."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from attnprof.quantities import STATE, STATE_GROWTH
from attnprof.records import JsonObject, Record
from attnprof.render import bibliography
from attnprof.render.claims.sight import Graphs
from attnprof.render.numbers import quantity, span
from attnprof.render.pages.forms import CardForm
from attnprof.render.pages.mathml import mathml
from attnprof.render.patterns import Picture
from attnprof.render.pictures import data_uri
from attnprof.render.series import why
from attnprof.targets import catalog
from attnprof.units import format_length, format_share, format_value
from attnprof.words import Pass, Status

FIELDS = ("author", "title", "year", "url", "eprint", "doi")
MOST_OPS = 6
LAYERS_TOLD = (1, 2, 4)


@dataclass(frozen=True)
class SchemeCard:
    """Everything that the card of one target shows; `masks` are addresses of pictures, one a layer kind."""

    target: str
    title: str
    kind: str
    family: str
    complexity: str
    ours: str
    rule: str
    math: str
    masks: tuple[str, ...]
    masks_of: str
    through: str
    fields: tuple[str, ...]
    params: tuple[tuple[str, str, str], ...]
    edges: str
    forms: tuple[CardForm, ...]
    decoding: str
    checked: str
    notes: tuple[str, ...]
    citation: tuple[str, str, str]
    ops: tuple[tuple[str, int, int], ...]
    ops_of: str
    assumed: str


@cache
def _entry(key: str) -> dict[str, str]:
    """The fields of a BibTeX entry that a citation needs."""
    if key not in bibliography.known_keys():
        return {}
    text = bibliography.entry(key)
    found = {}
    for name in FIELDS:
        value = re.search(rf"\b{name}\s*=\s*[{{\"](.*?)[}}\"],?\s*\n", text + "\n", re.S)
        if value:
            found[name] = re.sub(r"[{}\\]", "", value[1]).strip()
    return found


def citation(key: str) -> tuple[str, str, str]:
    """First author and year, title, and the address of a paper; empty where it is not known."""
    found = _entry(key)
    if not found:
        return "", "", ""
    authors = found.get("author", "").split(" and ")
    last = authors[0].split(",")[0].split()[-1] if authors[0] else ""
    name = last if len(authors) == 1 else f"{last} and {authors[1].split(',')[0].split()[-1]}"
    name = name if len(authors) < 3 else f"{last} et al."
    address = found.get("url") or (f"https://doi.org/{found['doi']}" if "doi" in found else "")
    if not address and "eprint" in found:
        address = f"https://arxiv.org/abs/{found['eprint']}"
    return f"{name} {found.get('year', '')}".strip(), found.get("title", ""), address


def scheme_card(
    target: str,
    records: Sequence[Record],
    graphs: Graphs,
    card: JsonObject | None,
    family: str,
    picture: Picture | None,
    forms: tuple[CardForm, ...] = (),
) -> SchemeCard:
    """The card of one target from its records, its graph, its catalogue card and its picture."""
    known = card or {}
    costed = [r for r in records if r.cost is not None]
    last = max(costed, key=lambda r: (r.point.shape.n, r.point.pass_ is Pass.FORWARD), default=None)
    graph = graphs.get((target, False)) or graphs.get((target, True))
    metrics = {} if graph is None else graph.metrics or {}
    held = metrics.get("image")
    images = [] if picture is None else [picture.values, *picture.others]
    through = "kernel" if metrics.get("kernel") else "slots" if metrics.get("slots") else ""
    if not images and held is not None and not through:
        images = [held]
    return SchemeCard(
        target,
        str(known.get("title") or target),
        str(known.get("survey_class") or "code of its own"),
        family,
        str(known.get("complexity") or ""),
        str(known.get("complexity_ours") or ""),
        str(known.get("rule") or ""),
        mathml(str(known["rule"])) if known.get("rule") else "",
        tuple(data_uri(image) for image in images),
        _masks_of(picture, graph),
        through,
        tuple(_fields(graphs, target)),
        tuple(_params(target, records, card)),
        str(known.get("edges_text") or ""),
        forms,
        _decoding(records),
        _checked(records, card),
        tuple(str(note) for note in known.get("notes") or ()),
        citation(str(known.get("bib") or "")),
        _ops(last),
        "" if last is None else f"{last.point.pass_}, n = {format_length(last.point.shape.n)}",
        _assumed(last),
    )


def _masks_of(picture: Picture | None, graph: Record | None) -> str:
    if picture is not None and picture.n:
        mask = "" if picture.causal is None else ", causal" if picture.causal else ", bidirectional"
        kinds = f", {picture.layers} layer kinds" if picture.layers > 1 else ""
        heads = f", the first of {picture.heads} head kinds" if picture.heads > 1 else ""
        return f"n = {format_length(picture.n)}{mask}{kinds}{heads}"
    return "" if graph is None else f"n = {format_length(graph.point.shape.n)}"


def _fields(graphs: Graphs, target: str) -> Iterable[str]:
    """The receptive field after one, two and four layers, for each mask that was analysed."""
    for causal in (False, True):
        graph = graphs.get((target, causal))
        if graph is None:
            continue
        metrics = graph.metrics or {}
        shares = {int(e["layer"]): float(e["share"]) for e in metrics.get("reach") or []}
        told = [f"{format_share(shares[k])} after {k}" for k in LAYERS_TOLD if k in shares]
        last = max(shares, default=0)
        if told and last and last < max(LAYERS_TOLD):
            told = [f"{format_share(shares[k])} after {k}" for k in sorted(shares) if k <= max(LAYERS_TOLD)]
        full = metrics.get("layers_to_full")
        why = str((metrics.get("reasons") or {}).get("layers_to_full", ""))
        end = f"all after {full} layer{'s' if full != 1 else ''}" if full else why
        mask = "causal" if causal else "bidirectional"
        listed = f"{', '.join(told)} layers; " if told else ""
        yield f"Allowed pairs within reach (n = {format_length(graph.point.shape.n)}, {mask}): {listed}{end}."


def _params(
    target: str, records: Sequence[Record], card: Mapping[str, object] | None
) -> Iterable[tuple[str, str, str]]:
    """Each parameter with its values over n and the source of its default."""
    sources = {}
    if card is not None and target in catalog.names():
        sources = {name: param.source or "" for name, param in catalog.entry(target).params.items()}
    names = dict.fromkeys(k for r in records for k in r.point.params)
    for name in names:
        by_value: dict[str, list[int]] = {}
        for r in sorted(records, key=lambda r: r.point.shape.n):
            if name in r.point.params:
                by_value.setdefault(format_value(r.point.params[name]), []).append(r.point.shape.n)
        values = [v if len(by_value) == 1 else f"{v} at {span(ns)}" for v, ns in by_value.items()]
        yield name, ", ".join(values), sources.get(name, "")


def _decoding(records: Sequence[Record]) -> str:
    """What decoding keeps, as the counts of the run have it, or why nothing is known of it."""
    costed = [r for r in records if r.cost is not None]
    kept = [r for r in costed if STATE.read(r) is not None]
    if kept:
        last = max(kept, key=lambda r: r.point.shape.n)
        state, growth = STATE.read(last), STATE_GROWTH.read(last)
        more = (
            ", whatever n is"
            if growth is None
            else f", {quantity(growth.value, STATE_GROWTH.unit)} more with each token"
        )
        held = "" if state is None else quantity(state.value, STATE.unit)
        return f"keeps {held} a sequence and layer after {format_length(last.point.shape.n)} tokens{more}"
    refused = [why(r) for r in records if r.point.pass_ is Pass.DECODE and r.status is not Status.OK]
    reasons = [*refused, *(r.reasons.get(STATE.key, "") for r in costed)]
    return next((text for text in reasons if text), "")


def _checked(records: Sequence[Record], card: JsonObject | None) -> str:
    """What the gate held the timed outputs against, before anything was timed."""
    timed = [r for r in records if r.measured is not None and r.measured.wall_s is not None]
    if not timed:
        return ""
    if card is None:
        return "no reference is known of code of your own: its outputs were finite, and no more is known of them"
    words = {"own": "the short reference that its maths brings", "pattern": "explicit softmax attention under its mask"}
    loose = sum(not {"unchecked", "not_repeatable"}.isdisjoint(r.flags) for r in timed)
    text = f"outputs agreed with {words.get(str(card.get('maths')), 'its reference')} before it was timed"
    return text + (f"; of {loose} timed points no output could be held against another after it" if loose else "")


def _ops(record: Record | None) -> tuple[tuple[str, int, int], ...]:
    if record is None or record.cost is None or record.cost.certificate is None:
        return ()
    ranked = sorted(record.cost.certificate.counted, key=lambda op: (-op.flops, op.op))
    return tuple((op.op, op.calls, op.flops) for op in ranked[:MOST_OPS])


def _assumed(record: Record | None) -> str:
    """What the count rests on beside its operators."""
    if record is None or record.cost is None or record.cost.certificate is None:
        return ""
    found = record.cost.certificate
    parts = [found.backend and f"back end {found.backend}", found.tile and f"tile {found.tile}"]
    if found.uncounted:
        parts.append(f"not counted: {', '.join(op.op for op in found.uncounted)}")
    if found.unknown_workspaces:
        parts.append(f"workspace not known: {', '.join(found.unknown_workspaces)}")
    return "; ".join(str(part) for part in (*parts, found.convention) if part)
