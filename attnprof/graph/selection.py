"""Whether a selection selects: at a short n the best k of n tokens are all of them, and the pattern is dense."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from attnprof.graph.relation import Relation
from attnprof.graph.subject import Subject
from attnprof.units import Value


def reads_all(subject: Subject) -> float:
    """The share of queries, over all heads of all layers, that read every token they may without a slot between."""
    pattern, allowed = subject.pattern, subject.stack.allowed
    found = []
    for layer, part in enumerate(subject.stack.parts):
        if part.ways is not None:
            found.append(_share(part, allowed))
            continue
        found += [_share(subject.relation(layer, head), allowed) for head in range(pattern.heads)]
    return float(np.mean(found))


def _share(relation: Relation, allowed: np.ndarray) -> float:
    return float((relation.out_degree() >= allowed).mean())


def clipped(given: Mapping[str, Value], used: Mapping[str, Value]) -> dict[str, dict[str, Value]]:
    """Parameters that a short n makes smaller than they were given: by name, what was `asked` and what is `used`."""
    return {
        name: {"asked": value, "used": used[name]}
        for name, value in given.items()
        if value is not None and name in used and used[name] != value
    }
