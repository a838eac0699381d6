"""How far back a stack effectively sees: the distance beyond which hardly anything of an output comes from.

Reach says how far; under uniform attention with a residual (`metrics.mixing`) a window of w over L layers passes on
far less from its edge: without a residual influence spreads as a sum of L draws from the window, of width w sqrt(L).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from attnprof.graph.layered import LayeredRelation

RESIDUALS = (0.0, 0.5, 0.9)
FAINT = (0.1, 0.01)


@dataclass(frozen=True, slots=True)
class EffectiveHorizon:
    """Of the influence on output `output` after `layers` layers, less than `share` comes from beyond `distance`."""

    residual: float
    layers: int
    output: int
    share: float
    distance: int


def horizons(
    stack: LayeredRelation,
    layers: int,
    residuals: tuple[float, ...] = RESIDUALS,
    shares: tuple[float, ...] = FAINT,
) -> tuple[EffectiveHorizon, ...]:
    """The least distance d for which the tokens farther than d together have less than each share of the influence.

    On the last output where the layers are causal, on the middle one otherwise.
    """
    n = stack.n
    output = n - 1 if stack.causal else n // 2
    apart = np.abs(np.arange(n) - output)
    found = []
    for residual in residuals:
        weights = np.zeros((1, n))
        weights[0, output] = 1.0
        for layer in range(layers, 0, -1):
            weights = residual * weights + (1 - residual) * stack.walk(layer).down(weights)
        by_distance = np.bincount(apart, weights[0], minlength=n)
        beyond = np.clip(1.0 - np.cumsum(by_distance) / by_distance.sum(), 0.0, None)
        found += [EffectiveHorizon(residual, layers, output, share, int(np.argmax(beyond < share))) for share in shares]
    return tuple(found)
