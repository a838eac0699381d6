"""Reach layer by layer, and hops: how far is everybody from everybody."""

from __future__ import annotations

import numpy as np

from attnprof.graph.ladder import solve
from attnprof.graph.layered import LayeredRelation
from attnprof.graph.reach import Reach, ReachRequest
from attnprof.graph.relation import SlotWays
from attnprof.graph.subject import Facts, Subject, spread
from attnprof.pattern import Slices
from attnprof.words import Certainty


def reach_curve(subject: Subject) -> Facts:
    """Tokens that an output can depend on after each layer (its own included), and the layer where all are reached."""
    reach = subject.reach
    layers = [
        {
            "layer": entry.layer,
            "min": entry.min,
            "mean": entry.mean,
            "max": entry.max,
            "share": entry.share,
            "quantiles": list(entry.quantiles),
            **({} if entry.low is None else {"low": entry.low, "high": entry.high}),
        }
        for entry in reach.layers
    ]
    values = {"reach": layers, "layers_to_full": reach.layers_to_full, "idle_layers": idle_layers(reach)}
    reasons = {} if reach.full else {"layers_to_full": why_not_full(reach)}
    if reach.certainty == Certainty.SAMPLED:
        values["idle_layers"], reasons["idle_layers"] = None, SAMPLED
    keys: dict[str, Certainty] = dict.fromkeys(values, reach.certainty)
    return Facts(values, keys, reasons)


SAMPLED = "a sample of tokens bounds no largest hop, so no mean of hops either; the shares by layer have intervals"


def why_not_full(reach: Reach) -> str:
    """Why full reach is not there: it never comes, the search ended before it, or a sample cannot show it."""
    if reach.certainty == Certainty.SAMPLED:
        return f"at least {len(reach.histogram) - 1}: {reach.sources:,} tokens were looked at, not all {reach.n:,}"
    missing = reach.pairs - int(reach.histogram.sum())
    share = missing / reach.pairs
    percent = f"{share:.2%}" if share >= 5e-5 else f"{100 * share:.2g}%"
    if not reach.closed:
        depth = len(reach.histogram) - 1
        within = "not within the 1 layer" if depth == 1 else f"not within the {depth} layers"
        return f"{within} asked for: {percent} of pairs are missing"
    are = "is" if missing == 1 else "are"
    return f"never: {missing:,} of {reach.pairs:,} allowed pairs ({percent}) {are} out of reach at any depth"


def idle_layers(reach: Reach) -> list[int]:
    """Layers that add nothing to anybody's reach although later ones do."""
    return [layer for layer, new in enumerate(reach.histogram.tolist()) if layer and new == 0]


def hops(subject: Subject) -> Facts:
    """Hop histogram, mean, 90% effective diameter, largest hop over allowed pairs, eccentricities."""
    reach = subject.reach
    if reach.certainty == Certainty.SAMPLED:
        return _sampled_hops(reach)
    known = reach.farthest_out[reach.farthest_out >= 0]
    into = reach.farthest_in[reach.farthest_in >= 0]
    diameter, radius, reason = _diameter(subject)
    values = {
        "max_hops": reach.layers_to_full,
        "mean_hops": reach.mean_hops,
        "effective_diameter_90": effective_diameter(reach),
        "hop_histogram": reach.histogram.tolist(),
        "eccentricity_out": spread(known),
        "eccentricity_in": spread(into),
        "diameter": diameter,
        "radius": radius,
        "diameter_unit": None if diameter is None else _unit(subject),
    }
    reasons = {} if reach.full else {"max_hops": why_not_full(reach)}
    if reason:
        reasons |= dict.fromkeys(("diameter", "radius", "diameter_unit"), reason)
    return Facts(values, dict.fromkeys(values, reach.certainty), reasons)


def _sampled_hops(reach: Reach) -> Facts:
    """What a sample says of hops: the largest from each query to the tokens looked at, each a lower bound."""
    names = (
        *("max_hops", "mean_hops", "effective_diameter_90", "hop_histogram", "eccentricity_in"),
        *("diameter", "radius", "diameter_unit"),
    )
    values = {**dict.fromkeys(names), "eccentricity_out": spread(reach.farthest_out)}
    reasons = dict.fromkeys(names, SAMPLED) | {"max_hops": why_not_full(reach)}
    return Facts(values, {"eccentricity_out": Certainty.BOUND}, reasons)


def effective_diameter(reach: Reach, share: float = 0.9) -> int | None:
    """The least hop within which `share` of all reached pairs of different tokens lie."""
    pairs = np.cumsum(reach.histogram[1:])
    return int(np.searchsorted(pairs, share * pairs[-1])) + 1 if len(pairs) and pairs[-1] else None


def _unit(subject: Subject) -> str:
    """What diameter and radius count: hops count layers, but a way through a slot is two edges of one layer."""
    if subject.slotted:
        return "edges, slots as nodes"
    return "layers" if subject.stack.period == 1 else "layers, if all were drawn as the first"


def _diameter(subject: Subject) -> tuple[int | None, int | None, str]:
    """Diameter and radius of the graph, slot nodes counted as hops; None with a reason where there is none."""
    stack, reach = subject.stack, subject.reach
    if stack.period > 1 and subject.redrawn == 1:
        stack = LayeredRelation(stack.n, stack.parts[:1], stack.declared)
        reach = solve(stack, ReachRequest(subject.ask.layers))
    if stack.period > 1:
        return None, None, "layers differ: hops are layers in their order, no single graph has a diameter"
    if stack.causal and subject.n > 1:
        return None, None, "causal: the past cannot read the future, so the graph is not strongly connected"
    if not reach.full:
        return None, None, "not strongly connected" if reach.closed else "the search ended before full reach"
    ways = stack.parts[0].ways
    if ways is not None:
        reach = solve(with_slot_nodes(ways, stack.tokens[0]), ReachRequest())
        if not reach.full:
            return None, None, "not strongly connected once slots are nodes"
    return int(reach.farthest_out.max()), int(reach.farthest_out.min()), ""


def with_slot_nodes(ways: SlotWays, direct: Slices) -> LayeredRelation:
    """One graph over tokens and slots: a token that reaches a token through a slot takes two hops."""
    total, n = direct.n + ways.count, direct.n
    columns = []
    for piece, rows, keys in ((ways.reads, n, 0), (ways.writes, 0, n), (direct, 0, 0)):
        columns.append((piece.row + rows, piece.start + keys, piece.stop + keys, piece.step))
    row, start, stop, step = (np.concatenate(column) for column in zip(*columns, strict=True))
    return LayeredRelation.single(Slices.of(total, row, start, stop, step))
