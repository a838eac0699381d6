"""Edges, density, degrees; queries that read nothing and keys that nobody reads. Over all heads of all layers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from attnprof.graph.relation import Relation, readers, reads
from attnprof.graph.subject import Facts, LayerKind, Subject
from attnprof.pattern import Kernel
from attnprof.pattern.slices import Ints

LISTED = 64
NAMED = 8
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def degrees(subject: Subject) -> Facts:
    """Edges (once, and once for each softmax), density, degrees: means over all heads of all layers, each kind apart.

    Where tokens meet in slots as well, these are the edges beside them.
    """
    if not subject.has_edges():
        return _without_edges(subject)
    rows = [_of_kind(subject, kind) for kind in subject.layer_kinds]
    edges, n = whole(mean_edges(subject)), subject.n
    closed, differs = _closed(subject)
    out = _histogram(subject, lambda part: part.out_degree())
    into = _histogram(subject, lambda part: part.in_degree())
    values = {
        "edges": edges,
        "edges_sum": _edges_sum(subject, edges),
        "edges_closed_form": {"text": subject.edges_text or None, "value": closed},
        "density": edges / n**2,
        "density_allowed": edges / subject.stack.pairs,
        "degree": _spread(out),
        "in_degree": _spread(into),
        **_unused(subject),
        "edges_by_layer": rows,
        "by_layer_head": _by_layer_head(subject),
    }
    reasons = {} if closed is not None else {"edges_closed_form": "the pattern file states no closed count"}
    return Facts(values, reasons=reasons, flags=("closed-form-differs",) if differs else ())


def _without_edges(subject: Subject) -> Facts:
    kind = "a kernel reaches every token without an edge" if subject.kernel else "tokens reach tokens through slots"
    names = ("edges", "edges_sum", "density", "density_allowed", "degree", "in_degree", "dead_queries", "unread_keys")
    closed = {"text": subject.edges_text or None, "value": _closed(subject)[0]}
    values = {**dict.fromkeys(names), "edges_closed_form": closed, "edges_by_layer": [], "by_layer_head": []}
    return Facts(values, reasons=dict.fromkeys([*names, "edges_closed_form"], kind))


def mean_edges(subject: Subject) -> float:
    """Edges of a head, mean over all heads of all layers."""
    found = [(subject.relation(layer, head).edges, count) for layer, head, count in subject.each_head()]
    return sum(edges * count for edges, count in found) / sum(count for _, count in found)


def whole(value: float) -> int | float:
    """An integer where it is one."""
    return int(value) if float(value).is_integer() else value


def _of_kind(subject: Subject, kind: LayerKind) -> dict[str, object]:
    """One layer kind: the mean and the range of the edges of its heads."""
    found = [(subject.relation(layer, head).edges, count) for layer, head, count in kind.heads]
    heads = sum(count for _, count in found)
    mean = sum(edges * count for edges, count in found) / heads
    return {
        "layers": list(kind.layers),
        "drawn_anew": kind.drawn,
        "heads": heads // len(kind.layers),
        "edges": whole(mean),
        "min": min(edges for edges, _ in found),
        "max": max(edges for edges, _ in found),
        "density": mean / subject.n**2,
        "union": None if _other(subject, kind) == "kernel" else _union(subject, kind),
        "other": _other(subject, kind),
    }


def _other(subject: Subject, kind: LayerKind) -> str | None:
    """What joins tokens in a layer beside its edges, or in their place."""
    if any(isinstance(subject.pattern.expr(layer, head), Kernel) for layer, head, _ in kind.heads):
        return "kernel"
    return "slots" if any(subject.part(layer, head).ways for layer, head, _ in kind.heads) else None


def _union(subject: Subject, kind: LayerKind) -> int | float:
    """Distinct edges between tokens of a layer, its heads united; mean over draws."""
    found = [subject.stack.part(layer).edges for layer in (kind.layers if kind.drawn else kind.layers[:1])]
    return whole(sum(found) / len(found))


def _closed(subject: Subject) -> tuple[int | float | None, bool]:
    """The closed count, mean over all heads, None where some has none; and whether one differs from what is counted."""
    if subject.closed is None:
        return None, False
    found = [(subject.closed(layer, head), layer, head, count) for layer, head, count in subject.each_head()]
    if any(value is None for value, *_ in found):
        return None, False
    differs = any(value != subject.relation(layer, head).edges for value, layer, head, _ in found)
    heads = sum(count for *_, count in found)
    return whole(sum(value * count for value, _, _, count in found if value is not None) / heads), differs


def _edges_sum(subject: Subject, edges: float) -> int | float:
    """The same once for each softmax that reads them."""
    pattern, total, heads = subject.pattern, 0, 0
    if all(len(pattern.expr(layer, head).terms()) == 1 for layer, head, _ in subject.each_head()):
        return edges
    for layer, head, count in subject.each_head():
        several = len(pattern.expr(layer, head).terms()) > 1
        total += count * (pattern.edges_sum(layer, head) if several else subject.relation(layer, head).edges)
        heads += count
    return whole(total / heads)


def _unused(subject: Subject) -> dict[str, object]:
    """Queries without a key in the head that has most of them, keys without a reader in the layer that has most."""
    dead = max((np.flatnonzero(reads(subject.part(*at[:2])) == 0) for at in subject.each_head()), key=len)
    unread = max((np.flatnonzero(readers(part) == 0) for part in subject.stack.parts), key=len)
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


def _histogram(subject: Subject, degree: Callable[[Relation], Ints]) -> NDArray[np.int64]:
    """How many (head, token) have each degree, over all heads of all layers, `[n + 1]`."""
    total = np.zeros(subject.n + 1, dtype=np.int64)
    for layer, head, count in subject.each_head():
        total += count * np.bincount(degree(subject.relation(layer, head)), minlength=subject.n + 1)
    return total


def _spread(counts: NDArray[np.int64]) -> dict[str, object]:
    """Least, mean, greatest, quantiles and inequality of the degrees that a histogram counts."""
    present = np.flatnonzero(counts)
    return {
        "min": int(present[0]),
        "mean": float((counts * np.arange(len(counts))).sum() / counts.sum()),
        "max": int(present[-1]),
        "quantiles": quantiles(counts),
        "gini": gini(present, counts[present]),
    }


def quantiles(counts: NDArray[np.int64]) -> list[float]:
    """Quantiles, with linear interpolation, of values 0, 1, ... that occur `counts` times."""
    at = np.asarray(QUANTILES) * (int(counts.sum()) - 1)
    ends = np.cumsum(counts)
    low, high = (np.searchsorted(ends, side(at), side="right") for side in (np.floor, np.ceil))
    return [float(v) for v in low + (high - low) * (at - np.floor(at))]


def gini(values: Ints, counts: Ints | None = None) -> float | None:
    """The Gini coefficient of some counts, each occurring `counts` times (once unless given).

    0 where all are equal, near 1 where one has all; None where all are 0.
    """
    many = np.ones(len(values), dtype=np.int64) if counts is None else counts
    order = np.argsort(values)
    value, many = values[order], many[order]
    total, size = int((value * many).sum()), int(many.sum())
    if total == 0:
        return None
    ranks = many * (2 * np.cumsum(many) - many + 1) / 2
    return float(2 * (ranks * (value / total)).sum() / size - (size + 1) / size)
