"""The patterns of a stack's layers as one: each layer its own, drawn anew where it is random."""

from __future__ import annotations

from collections.abc import Sequence
from math import lcm

from attnprof.contracts import SchemeTarget
from attnprof.errors import AttnprofError
from attnprof.graph.draws import is_random, later_seed
from attnprof.pattern import Expr, Pattern
from attnprof.shapes import Shape

MOST_HEADS = 1024
Placed = Sequence[tuple[SchemeTarget, Shape, int]]


def stack_pattern(name: str, layers: Placed, shape: Shape, later: int = 0) -> Pattern:
    """The pattern of all layers, bottom first: of each the scheme, its shape, and which of its own layers it is.

    A random layer is drawn for its place in the stack, so that two of a kind differ. Heads repeat where layers have
    different numbers of kinds. Raises `AttnprofError` where those have no common multiple that could be looked at.
    """
    made: dict[tuple[int, Shape], Pattern] = {}

    def own(at: int) -> tuple[Pattern, int]:
        """The pattern of a layer, and its number there."""
        mixer, size, kind = layers[at]
        number = kind
        if is_random(mixer):
            if mixer.layers == 1 and "layer" in mixer.context:
                number = at
            else:
                size = size.replace(seed=later_seed(size.seed, at - kind) if at - kind else size.seed)
        key = id(mixer), size
        if key not in made:
            made[key] = mixer.graph(size, later)
        return made[key], number

    def draw(layer: int, head: int) -> Expr:
        pattern, number = own(layer)
        if number < pattern.layers:
            return pattern.expr(number, head)
        return pattern.draw(number, head % pattern.heads)

    heads = lcm(*(own(at)[0].heads for at in range(len(layers))))
    if heads > MOST_HEADS:
        raise AttnprofError(
            f"the layers have head patterns that only repeat together after {heads:,} heads",
            hint="numbers of heads that divide each other",
        )
    return Pattern(name, shape.n + later, shape.causal, draw, len(layers), heads)
