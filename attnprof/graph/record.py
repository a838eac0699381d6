"""All that is known of a pattern as one plain object: the JSON that others rely on."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from attnprof.graph.metrics import METRICS
from attnprof.graph.pixels import Grid
from attnprof.graph.subject import Subject
from attnprof.graph.views import mask_image
from attnprof.records import JsonDict, Point, Record, content_hash
from attnprof.units import Value
from attnprof.words import DeviceName, RecordKind

if TYPE_CHECKING:
    from attnprof.graph.analysis import Analysis


def describe(subject: Subject, target: str, params: Mapping[str, Value] | None = None) -> JsonDict:
    """Every metric of a subject under its JSON key.

    `exact` says of each key `exact`, `bound` or `sampled`; `reasons` why a value is null; `flags` what is true of it.
    """
    began = time.perf_counter()
    pattern = subject.pattern
    values: dict[str, object] = {
        "target": target,
        "n": subject.n,
        "layers": pattern.layers,
        "heads": pattern.heads,
        "layer_kinds": len(subject.layer_kinds),
        "drawn_anew": any(kind.drawn for kind in subject.layer_kinds),
        "causal": pattern.causal,
        "params": dict(params or {}),
    }
    certainty: dict[str, str] = {}
    reasons: dict[str, str] = {}
    flags: list[str] = []
    for metric in METRICS:
        facts = metric.find(subject)
        values |= facts.values
        certainty |= dict.fromkeys(facts.values, "exact") | dict(facts.certainty)
        reasons |= facts.reasons
        flags += facts.flags
    reach = subject.reach
    missing = {key for key, value in values.items() if value is None}
    return {
        **values,
        "exact": {key: how for key, how in certainty.items() if key not in missing},
        "reasons": reasons,
        "engine": reach.engine,
        "engine_seconds": reach.seconds,
        "sampled_tokens": reach.sources,
        "seconds": time.perf_counter() - began,
        "flags": flags,
    }


def graph_record(analysis: Analysis, source: str | None = None) -> Record:
    """The record of an analysis for the store, with a small picture of the pattern under `metrics["image"]`.

    `source` is the text that finds a target which is not the catalogue's.
    """
    facts, shape, unknown = analysis.facts, analysis.shape, analysis.unknown
    if "causal" in unknown and facts["causal_found"] is not None:
        shape, unknown = shape.replace(causal=facts["causal_found"]), tuple(u for u in unknown if u != "causal")
    point = Point(
        facts["target"],
        shape,
        device=DeviceName.NONE,
        layers=facts["layers"],
        params=facts["params"],
        source=source,
        unknown=unknown,
    )
    asked = {"layers": analysis.subject.ask.layers, "engine": analysis.subject.engine, "seeds": facts.get("random")}
    key = content_hash({"kind": "graph", "point": point.to_json(), "asked": asked})
    image = small_image(analysis.subject)
    return Record(
        kind=RecordKind.GRAPH,
        key=key,
        point=point,
        metrics={**facts, "image": image},
        reasons=facts["reasons"],
        flags=tuple(facts["flags"]),
    )


def small_image(subject: Subject, side: int = 64) -> list[list[float]] | None:
    """Densities of the first layer, heads united, rows of numbers in [0, 1]; None where all edges are of slots."""
    found = mask_image(subject, Grid.of(subject.n, side))
    return None if found is None else np.nan_to_num(found.values).round(4).tolist()
