"""The dense graph beside the pattern: what each edge that is kept pays for."""

from __future__ import annotations

from attnprof.graph.subject import Facts, Subject


def baseline(subject: Subject) -> Facts:
    """The dense graph with the same causality, and edges per reached pair of the pattern and of it."""
    pairs = subject.stack.pairs
    reached = int(subject.reach.histogram.sum())
    edges = subject.stack_edges
    values = {
        "dense": {"edges": pairs, "layers_to_full": 1, "mean_hops": 1.0 if subject.n > 1 else None},
        "reached_share": reached / pairs,
        "edges_per_reached_pair": None if edges is None else edges / reached,
    }
    reasons = {"edges_per_reached_pair": "no edges between tokens"} if edges is None else {}
    return Facts(values, {"reached_share": subject.reach.certainty}, reasons)
