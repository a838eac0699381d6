"""The dense graph beside the pattern: what each edge that is kept pays for."""

from __future__ import annotations

from attnprof.graph.subject import Facts, Subject
from attnprof.words import Certainty


def baseline(subject: Subject) -> Facts:
    """The dense graph with the same causality, and what a head spends for each pair that is reached.

    `edges_per_reached_pair`: edges of a head, mean over the heads of each layer, in all layers until nothing is new,
    over the pairs then reached; 1 for dense attention, which has them all after one layer.
    """
    pairs = subject.stack.pairs
    if subject.reach.certainty == Certainty.SAMPLED:
        return _sampled(subject)
    reached = int(subject.reach.histogram.sum())
    values = {
        "dense": {"edges": pairs, "layers_to_full": 1, "mean_hops": 1.0 if subject.n > 1 else None},
        "reached_share": reached / pairs,
        "edges_per_reached_pair": None,
    }
    if subject.kernel is not None or subject.slotted:
        why = "slots or a kernel pay for pairs as well" if subject.has_edges() else "no edges between tokens"
        return Facts(values, reasons={"edges_per_reached_pair": why})
    spent = _spent(subject) / reached
    return Facts({**values, "edges_per_reached_pair": spent}, {"reached_share": subject.reach.certainty})


def _spent(subject: Subject) -> float:
    """Edges of a head in every layer until nothing is new; the layers repeat upwards."""
    depth = max(len(subject.reach.histogram) - 1, 1)
    heads = subject.pattern.heads
    by_layer = [sum(part.edges for part in subject.heads(at)) / heads for at in range(subject.pattern.layers)]
    return sum(by_layer[layer % len(by_layer)] for layer in range(depth))


def _sampled(subject: Subject) -> Facts:
    """The same of a sample: what is reached at last is the last share by layer, with its interval."""
    pairs = subject.stack.pairs
    dense = {"edges": pairs, "layers_to_full": 1, "mean_hops": 1.0 if subject.n > 1 else None}
    why = "sampled: see the shares by layer, each with its interval"
    reasons: dict[str, str] = {"reached_share": why, "edges_per_reached_pair": why}
    return Facts({"dense": dense, **dict.fromkeys(reasons)}, reasons=reasons)
