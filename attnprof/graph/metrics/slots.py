"""Slots and kernels: how narrow the way is that every token must take."""

from __future__ import annotations

import math

from attnprof.graph.stack import Slotted
from attnprof.graph.subject import Facts, Subject

FAINT = 0.01


def bottleneck(subject: Subject) -> Facts:
    """Slots a layer and edges to and from them; rank and memory of a kernel. None where tokens read tokens."""
    slots = [_slots(part) if isinstance(part, Slotted) else None for part in subject.stack.parts]
    if subject.kernel is not None:
        return Facts({"slots": None, "kernel": _kernel(subject)}, flags=("kernel",))
    if any(slots):
        return Facts({"slots": slots, "kernel": None}, flags=("slots",))
    return Facts({"slots": None, "kernel": None})


def _slots(layer: Slotted) -> dict[str, object]:
    """All heads together: what passes from token to token within the layer passes through so many vectors."""
    return {
        "count": layer.count,
        "reads": layer.reads.edges,
        "writes": layer.writes.edges,
        "direct": layer.direct.edges,
        "rank_bound": min(layer.count, layer.n),
        "tokens_per_slot": layer.reads.edges / layer.count,
        "slots_per_token": layer.writes.edges / layer.n,
    }


def _kernel(subject: Subject) -> dict[str, object]:
    """A complete graph of bounded rank; with decay, the window that the weights amount to."""
    kernel = subject.kernel
    assert kernel is not None
    decay = kernel.decay
    forgets = decay is not None and 0 < decay < 1
    return {
        "rank_bound": min(kernel.rank, subject.n),
        "decay": decay,
        "effective_window": 1.0 / (1.0 - decay) if forgets and decay is not None else None,
        "tokens_until_faint": math.log(FAINT) / math.log(decay) if forgets and decay is not None else None,
    }
