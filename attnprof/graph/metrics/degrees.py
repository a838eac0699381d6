"""Edges, density, degrees; queries that read nothing and keys that nobody reads."""

from __future__ import annotations

import numpy as np

from attnprof.graph.stack import Slotted
from attnprof.graph.subject import Facts, Subject, spread
from attnprof.pattern.slices import Ints

LISTED = 64
NAMED = 8
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def degrees(subject: Subject) -> Facts:
    """Of the first layer and head: edges (once, and once for each softmax), density, degrees; all heads in a list."""
    if not subject.has_edges():
        return _without_edges(subject)
    first = subject.relation()
    out, into = first.out_degree(), first.in_degree()
    edges, n = int(out.sum()), subject.n
    values = {
        "edges": edges,
        "edges_sum": _edges_sum(subject, edges),
        "edges_closed_form": {"text": subject.edges_text or None, "value": subject.edges_value},
        "density": edges / n**2,
        "density_allowed": edges / subject.stack.pairs,
        "degree": {**spread(out), "quantiles": _quantiles(out), "gini": gini(out)},
        "in_degree": {**spread(into), "quantiles": _quantiles(into), "gini": gini(into)},
        **_unused(subject),
        "by_layer_head": _by_layer_head(subject),
    }
    reasons = (
        {} if subject.edges_value is not None else {"edges_closed_form": "the pattern file states no closed count"}
    )
    flags = () if subject.edges_value in (None, edges) else ("closed-form-differs",)
    return Facts(values, reasons=reasons, flags=flags)


def _without_edges(subject: Subject) -> Facts:
    kind = "a kernel reaches every token without an edge" if subject.kernel else "tokens reach tokens through slots"
    names = ("edges", "edges_sum", "density", "density_allowed", "degree", "in_degree", "dead_queries", "unread_keys")
    closed = {"text": subject.edges_text or None, "value": subject.edges_value}
    values = {**dict.fromkeys(names), "edges_closed_form": closed, "by_layer_head": []}
    return Facts(values, reasons=dict.fromkeys([*names, "edges_closed_form"], kind))


def _edges_sum(subject: Subject, edges: int) -> int:
    expr = subject.pattern.expr()
    return edges if len(expr.terms()) == 1 else subject.pattern.edges_sum()


def _unused(subject: Subject) -> dict[str, object]:
    """Queries without a key in some layer and head, keys without a reader in a whole layer; the worst of them."""
    pattern = subject.pattern
    kinds = [(layer, head) for layer in range(pattern.layers) for head in range(pattern.heads)][:LISTED]
    relations = {id(each): each for each in (subject.relation(*at) for at in kinds)}
    dead = max((np.flatnonzero(each.out_degree() == 0) for each in relations.values()), key=len)
    unread = max(
        (np.flatnonzero(part.in_degree() == 0) for part in subject.stack.parts if not isinstance(part, Slotted)),
        key=len,
    )
    return {
        "dead_queries": len(dead),
        "dead_queries_at": dead[:NAMED].tolist(),
        "unread_keys": len(unread),
        "unread_keys_at": unread[:NAMED].tolist(),
    }


def _by_layer_head(subject: Subject) -> list[dict[str, object]]:
    pattern = subject.pattern
    kinds = [(layer, head) for layer in range(pattern.layers) for head in range(pattern.heads)]
    if len(kinds) == 1:
        return []
    return [{"layer": at[0], "head": at[1], "edges": subject.relation(*at).edges} for at in kinds[:LISTED]]


def _quantiles(values: Ints) -> list[float]:
    return [float(v) for v in np.quantile(values, QUANTILES)]


def gini(values: Ints) -> float | None:
    """The Gini coefficient of some counts: 0 where all are equal, near 1 where one has all; None without any."""
    total, n = int(values.sum()), len(values)
    if total == 0:
        return None
    ranks = np.arange(1, n + 1)
    return float(2 * (ranks * (np.sort(values) / total)).sum() / n - (n + 1) / n)
