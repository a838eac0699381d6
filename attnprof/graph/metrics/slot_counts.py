"""Slots and kernels: how narrow the way is that every token must take."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from attnprof.graph.metrics.degrees import whole
from attnprof.graph.slotted import direct_of, slots_of
from attnprof.graph.subject import Facts, LayerKind, Subject

FAINT = 0.01
SlotCounts = dict[str, int]


def bottleneck(subject: Subject) -> Facts:
    """Slots of a head and edges to and from them, by layer; rank and memory of a kernel. None where tokens read tokens.

    A layer without slots among others that have some is None in the list.
    """
    if subject.kernel is not None:
        return Facts({"slots": None, "kernel": _kernel(subject)}, flags=("kernel",))
    if not subject.slotted:
        return Facts({"slots": None, "kernel": None})
    slots: list[dict[str, object] | None] = [None] * subject.pattern.layers
    for kind in subject.layer_kinds:
        found = _slots(subject, kind)
        for layer in kind.layers:
            slots[layer - 1] = found
    return Facts({"slots": slots, "kernel": None}, flags=("slots",))


def _slots(subject: Subject, kind: LayerKind) -> dict[str, object] | None:
    """Means over the heads of a layer kind; the rank bound is that of the head with the most slots.

    What passes from token to token through the slots of a head passes through so many vectors.
    """
    heads = [(_of_head(subject, layer, head), count) for layer, head, count in kind.heads]
    if all(not found["sets"] for found, _ in heads):
        return None
    total = {name: sum(found[name] * many for found, many in heads) for name in heads[0][0]}
    heads_many = sum(many for _, many in heads)
    counts = [found["count"] for found, _ in heads]
    return {
        **{name: whole(total[name] / heads_many) for name in ("count", "reads", "writes", "direct")},
        "count_min": min(counts),
        "count_max": max(counts),
        "rank_bound": min(max(counts), subject.n),
        "tokens_per_slot": total["reads"] / total["count"] if total["count"] else None,
        "slots_per_token": total["writes"] / heads_many / subject.n,
    }


def _of_head(subject: Subject, layer: int, head: int) -> SlotCounts:
    expr = subject.pattern.expr(layer, head)
    slots = slots_of(expr)
    direct = subject.relation(layer, head).edges if direct_of(expr) else 0
    return {
        "sets": len(slots),
        "count": sum(each.count for each in slots),
        "reads": sum(each.reads.edges for each in slots),
        "writes": sum(each.writes.edges for each in slots),
        "direct": direct,
    }


def _kernel(subject: Subject) -> dict[str, object]:
    """A complete graph of bounded rank; with decay, the window that the weights amount to: means over heads."""
    found = subject.kernels
    decays = [kernel.decay for kernel, _ in found if kernel.decay is not None and 0 < kernel.decay < 1]
    many = [count for kernel, count in found if kernel.decay is not None and 0 < kernel.decay < 1]
    forgets = len(decays) == len(found)
    windows = [1.0 / (1.0 - decay) for decay in decays] if forgets else []
    return {
        "rank_bound": min(max(kernel.rank for kernel, _ in found), subject.n),
        **_range("decay", decays if forgets else [], many),
        **_range("effective_window", windows, many),
        **_range("tokens_until_faint", [math.log(FAINT) / math.log(decay) for decay in decays if forgets], many),
    }


def _range(name: str, values: Sequence[float], counts: Sequence[int]) -> dict[str, float | None]:
    """The mean over heads, and the least and the greatest; None where some head has none."""
    if not values:
        return {name: None, f"{name}_min": None, f"{name}_max": None}
    mean = float(np.average(values, weights=counts))
    return {name: mean, f"{name}_min": min(values), f"{name}_max": max(values)}
