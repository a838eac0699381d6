"""All that is known of a pattern as one plain object: the JSON that others rely on."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from attnprof.graph.metrics import METRICS
from attnprof.graph.subject import Subject
from attnprof.model import Value


def describe(subject: Subject, target: str, params: Mapping[str, Value] | None = None) -> dict[str, Any]:
    """Every metric of a subject under its JSON key.

    `exact` says of each key `exact`, `bound` or `sampled`; `reasons` why a value is null; `flags` what is true of it.
    """
    began = time.perf_counter()
    pattern = subject.pattern
    values: dict[str, Any] = {
        "target": target,
        "n": subject.n,
        "layers": pattern.layers,
        "heads": pattern.heads,
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
