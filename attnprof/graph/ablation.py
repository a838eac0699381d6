"""What the window, the random blocks and the globals of a block pattern each give, over many seeds."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from functools import partial

from attnprof.contracts import SchemeTarget, Target
from attnprof.graph.draws import Tell, silent
from attnprof.graph.randomness import trials
from attnprof.pattern import Pattern
from attnprof.shapes import Shape

PARAMETERS = ("window_blocks", "random_blocks", "global_blocks")
FIXED = "window only"


def is_of_blocks(target: Target, n: int) -> bool:
    """Whether a pattern is made of such blocks, and of whole ones."""
    return all(name in target.parameters for name in PARAMETERS) and n % int(str(target.resolve(n)["block"])) == 0


def ablation(
    target: Target, shape: Shape, seeds: Sequence[int], depth: int, tell: Tell = silent
) -> dict[str, dict[str, object]]:
    """What each part of a window + random + global pattern gives, over seeds.

    One head's draw, the same in every layer, is the graph that the random-graph argument speaks of; a model has many
    heads, and draws anew in every layer. `kept` tells the one from the other.
    """
    variants = {
        "random only": {"window_blocks": 0, "global_blocks": 0},
        "window only": {"random_blocks": 0, "global_blocks": 0},
        "window + random": {"global_blocks": 0},
        "window + random + globals": {},
    }
    found = {}
    for name, changes in variants.items():
        one = _varied(target, changes)
        tried = seeds[:1] if name == FIXED else seeds
        for heads, scope in ((1, ""), (shape.heads, f", {shape.heads} heads")):
            if name == FIXED and heads > 1:
                continue
            size = shape.replace(heads=heads, dim=max(shape.dim // shape.heads, 1) * heads)
            kinds = 1 if heads == 1 else depth
            made = partial(_drawn, one, size, kinds)
            result = trials(made, tried, depth, tell=partial(tell, name + scope))
            found[name + scope] = result.to_json() | {"drawn": name != FIXED, "kept": kinds == 1}
    return found


def _varied(target: Target, changes: Mapping[str, int]) -> SchemeTarget:
    assert isinstance(target, SchemeTarget)
    return dataclasses.replace(target, parameters={**target.parameters, **changes})  # type: ignore[type-var]


def _drawn(target: SchemeTarget, shape: Shape, layers: int, seed: int) -> Pattern:
    return dataclasses.replace(target.graph(shape.replace(seed=seed)), layers=layers)
