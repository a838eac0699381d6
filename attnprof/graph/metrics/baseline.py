"""The dense graph beside the pattern: what each edge that is kept pays for."""

from __future__ import annotations

from attnprof.graph.subject import Facts, Subject


def baseline(subject: Subject) -> Facts:
    """The dense graph with the same causality, and what a head spends for each pair that is reached.

    `edges_per_reached_pair`: edges of one head in all layers until nothing is new, over the pairs then reached; 1 for
    dense attention, which has them all after one layer.
    """
    pairs = subject.stack.pairs
    reached = int(subject.reach.histogram.sum())
    depth = max(len(subject.reach.histogram) - 1, 1)
    values = {
        "dense": {"edges": pairs, "layers_to_full": 1, "mean_hops": 1.0 if subject.n > 1 else None},
        "reached_share": reached / pairs,
        "edges_per_reached_pair": None,
    }
    if not subject.has_edges():
        return Facts(values, reasons={"edges_per_reached_pair": "no edges between tokens"})
    kinds = [subject.relation(layer).edges for layer in range(subject.pattern.layers)]
    spent = sum(kinds[layer % len(kinds)] for layer in range(depth))
    return Facts({**values, "edges_per_reached_pair": spent / reached}, {"reached_share": subject.reach.certainty})
