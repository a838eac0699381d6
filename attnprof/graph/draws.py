"""Patterns that are drawn, at random or for random data: anew in every layer, and again with other seeds.

A draw says something about itself. Two tokens that do not meet in one draw may meet in the next, in another layer as
with another seed: nothing here is ever called unreachable, and every number of a draw has its spread over seeds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from math import inf, isinf

import numpy as np

from attnprof.contracts import SchemeTarget, Target
from attnprof.graph.confidence import median_interval
from attnprof.graph.metrics.components import weak_components
from attnprof.graph.metrics.degrees import degrees
from attnprof.graph.metrics.disjoint_paths import disjoint_paths
from attnprof.graph.randomness import Trials
from attnprof.graph.subject import Subject
from attnprof.pattern import Expr, Pattern
from attnprof.records import GraphFacts, JsonDict
from attnprof.shapes import Shape
from attnprof.words import Certainty

LEAST, USUAL, MOST = 4, 12, 64
"""Layers drawn: at least four; twelve, where that is no more than so many slices; 64 before giving up on full reach."""

SLICES = 3_000_000
DEPTH_WORK, SEED_WORK, TOO_MUCH = 500_000, 1_500_000, 12_000_000
"""Slices and tokens of all layers: of one seed, of all seeds, and beyond which no other seed is drawn unasked."""

FEW, MANY = 6, 12
"""Seeds unless asked for: the fewest with an interval of the median, and no more than twelve."""

Tell = Callable[[str, int, int], None]


def silent(what: str, done: int, total: int) -> None:
    """Progress that nobody reads."""


def _takes(target: Target) -> frozenset[str]:
    return target.context if isinstance(target, SchemeTarget) else frozenset()


def is_random(target: Target) -> bool:
    """Whether its pattern depends on a seed."""
    return "seed" in _takes(target) and target.parameters.get("random_blocks") != 0


def redrawn(target: Target, shape: Shape, layers: int) -> Pattern:
    """The pattern with a draw of its own for each of so many layers, whatever kinds of layers it repeats.

    A pattern of one kind that asks for its `layer` is told; any other is given another seed for each repetition.
    """
    assert isinstance(target, SchemeTarget)
    base = target.graph(shape)
    if base.layers == 1 and "layer" in _takes(target):
        return dataclasses.replace(base, layers=layers)
    turns: dict[int, Pattern] = {0: base}

    def draw(layer: int, head: int) -> Expr:
        turn, kind = divmod(layer, base.layers)
        if turn not in turns:
            turns[turn] = target.graph(shape.replace(seed=later_seed(shape.seed, turn)))
        return turns[turn].draw(kind, head)

    return Pattern(base.name, base.n, base.causal, draw, layers, base.heads)


def later_seed(seed: int, turn: int) -> int:
    """The seed of the layers' next repetition: far from the seeds that a user counts through."""
    return int(np.random.SeedSequence([abs(seed), int(seed < 0), turn]).generate_state(1)[0])


def drawn_subject(make: Callable[[Pattern, int], Subject], target: Target, shape: Shape, layers: int | None) -> Subject:
    """The subject over so many drawn layers; unless asked, as many as full reach takes, within what is affordable.

    `make` gives the subject of a pattern over a number of layers.
    """
    if layers is not None:
        return make(redrawn(target, shape, layers), layers)
    whole = redrawn(target, shape, MOST)

    def over(count: int) -> Subject:
        """So many of the layers; what was drawn of them stays drawn."""
        return make(dataclasses.replace(whole, layers=count), count)

    affordable = SLICES // max(over(1).stack.parts[0].stored, 1)
    first, last = (int(np.clip(affordable, LEAST, most)) for most in (USUAL, MOST))
    found = over(first)
    return found if last == first or found.reach.full else over(last)


def told_of_draws(facts: GraphFacts, target: Target, shape: Shape) -> JsonDict:
    """The facts of a drawn stack, said to be of that draw: `drawn` names it, no reason says `never`."""
    layers = facts["layers"]
    source = "random data" if target.card.data_dependent else "a seed"
    drawn = {"from": source, "seed": shape.seed, "layers": layers}
    if facts["diameter"] is None and not facts["causal"]:
        why = "layers are drawn anew: no single graph has a diameter"
        facts = {**facts, "reasons": facts["reasons"] | dict.fromkeys(("diameter", "radius"), why)}
    if facts["layers_to_full"] is not None or facts["exact"].get("reach") == Certainty.SAMPLED:
        return {**facts, "drawn": drawn}
    pairs = facts["pairs"]
    missing = pairs - round(facts["reach"][-1]["share"] * pairs)
    anew = "1 layer" if layers == 1 else f"{layers} layers, each"
    where = f"not within {anew} drawn anew (seed {shape.seed})"
    why = f"{where}: {missing:,} of {pairs:,} allowed pairs ({missing / pairs:.2g}) are missing in this draw"
    return {**facts, "reasons": {**facts["reasons"], "layers_to_full": why, "max_hops": why}, "drawn": drawn}


def usual_seeds(subject: Subject) -> int:
    """Seeds unless asked for: twelve, fewer where a draw is long work, six at least; none where six are too much."""
    work = _work(subject) * depth_of(subject)
    return 0 if FEW * work > TOO_MUCH else int(np.clip(SEED_WORK // work, FEW, MANY))


def _work(subject: Subject) -> int:
    """What drawing and reading a layer takes, in slices and tokens."""
    return subject.stack.parts[0].stored + subject.n * subject.pattern.heads


def depth_of(subject: Subject) -> int:
    """Layers over which other seeds are looked at: twice those to full reach, or as many as are affordable."""
    full, layers = subject.reach.layers_to_full, subject.pattern.layers
    return min(layers, USUAL if full is None else max(2 * full, 1), max(LEAST, DEPTH_WORK // _work(subject)))


def over_seeds(make: Callable[[int], Subject], seeds: Sequence[int], heads: int, tell: Tell = silent) -> JsonDict:
    """The spread over seeds of the numbers of a drawn pattern: `random` and `over_seeds` of the record."""
    rows = []
    for done, seed in enumerate(seeds):
        tell("seed", done, len(seeds))
        rows.append(_numbers(make(seed)))
    keys = [key for key in rows[0] if key != "shares"]
    numbers = {key: spread_of([row[key] for row in rows]) for key in keys}
    depth = max(len(row["shares"]) for row in rows)
    shares = np.asarray([row["shares"] + [row["shares"][-1]] * (depth - len(row["shares"])) for row in rows])
    unread = np.asarray([(row["unread_keys"] or 0) > 0 for row in rows])
    whole = {"seeds": len(seeds), "first_seed": seeds[0], "layers": depth}
    return {"random": Trials(shares, unread, heads).to_json(), "over_seeds": {**whole, **numbers}}


def _numbers(subject: Subject) -> JsonDict:
    """What one draw gives."""
    reach = subject.reach
    shares = (np.cumsum(reach.histogram) / reach.pairs).tolist()
    counted = degrees(subject).values
    routes = disjoint_paths(subject).values["bandwidth"]
    return {
        "layers_to_full": reach.layers_to_full,
        "mean_hops": reach.mean_hops,
        "components": weak_components(subject),
        "edges": counted["edges"],
        "density": counted["density"],
        "dead_queries": counted["dead_queries"],
        "unread_keys": counted["unread_keys"],
        "disjoint_routes": routes["routes"][-1] if routes else None,
        "shares": shares[1:] or shares,
    }


def spread_of(values: Sequence[float | None]) -> dict[str, float | None] | None:
    """Least, median and greatest of some draws, with the 95% interval of the median; None where no draw has a value.

    A value that a draw lacks (full reach that it does not come to) counts as greater than any; such limits are None.
    """
    if all(value is None for value in values):
        return None
    known = [inf if value is None else float(value) for value in values]
    low, high = median_interval(known) or (inf, inf)
    found = {"min": min(known), "median": sorted(known)[(len(known) - 1) // 2], "max": max(known)}
    limits = {"low": low, "high": high}
    return {key: None if isinf(value) else value for key, value in (found | limits).items()} | {
        "missing": sum(value is None for value in values)
    }
