"""How much of a distant token arrives: influence under uniform attention with a residual, beside dense attention.

One layer is P = r I + (1 - r) mean_h D_h^-1 A_h for a residual share r: each head attends evenly to its own keys, a
query without a key in a head keeps its own there. Row i of the product of the layers, the top one first, says how much
of each token is in output i. Reach says whether; this says how much.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import comb

import numpy as np

from attnprof.graph.field import field_of, wider
from attnprof.graph.layered import LayeredRelation
from attnprof.graph.metrics.hubs import global_tokens
from attnprof.graph.products import Vector
from attnprof.graph.subject import Facts, Subject

RESIDUALS = (0.5, 0.9)
MIXED = 0.25
ALL_DEPTHS = 12
LARGEST = 1 << 18


@dataclass(frozen=True, slots=True)
class ExpectedInfluence:
    """What one residual share gives, layer by layer.

    `to_dense`: total variation distance from dense attention's influence, mean over the sources; `to_even`: that of
    output `output` from even shares of all tokens. `far`, `dense_far`: what that output has of the far token `token`,
    as a multiple of a fair share 1 / n. `on_first`: what it has of the first token.
    """

    residual: float
    output: int
    token: int
    layers: tuple[int, ...]
    to_dense: tuple[float, ...]
    to_even: tuple[float, ...]
    far: tuple[float, ...]
    dense_far: tuple[float, ...]
    on_first: tuple[float, ...]

    @property
    def layers_to_mix(self) -> int | None:
        """The first layer at which the distance to dense attention is at most a quarter; None if none is."""
        return next((k for k, far in zip(self.layers, self.to_dense, strict=True) if far <= MIXED), None)


def mixing(subject: Subject) -> Facts:
    """Influence after each layer for residuals 0.5 and 0.9, exactly; dense attention as the baseline.

    Distances to it are means over the outputs `sources`, which are named and not a sample of all.
    """
    reason = _cannot(subject)
    if reason:
        return Facts({"mixing": None}, reasons={"mixing": reason})
    found = mixings(subject.stack, RESIDUALS, subject.ask.layers or subject.depth)
    values = [
        {
            "residual": each.residual,
            "sources": _sources(subject.n).tolist(),
            "output": each.output,
            "token": each.token,
            "layers": list(each.layers),
            "distance_to_dense": list(each.to_dense),
            "distance_to_even": list(each.to_even),
            "far_influence": list(each.far),
            "dense_far_influence": list(each.dense_far),
            "on_first": list(each.on_first),
            "layers_to_mix": each.layers_to_mix,
        }
        for each in found
    ]
    return Facts({"mixing": values})


def unweighed(subject: Subject) -> str:
    """Why uniform attention says nothing of a scheme; empty where it does."""
    if subject.kernel is not None:
        return "a kernel weighs the tokens by itself: uniform attention says nothing of it"
    if any(part.ways is not None and part.edges for part in subject.stack.parts):
        return "slots and direct edges are weighed against each other by the values"
    return ""


def _cannot(subject: Subject) -> str:
    return unweighed(subject) or (f"computed up to n = {LARGEST}" if subject.n > LARGEST else "")


def mixings(stack: LayeredRelation, residuals: tuple[float, ...], depth: int) -> list[ExpectedInfluence]:
    """The influence over `depth` layers on the last token, the middle one and one a quarter in, by residual share.

    Where the layers are alike, the products are shared between the residuals.
    """
    n = stack.n
    sources = _sources(n)
    layers = _depths(stack, depth)
    start = np.zeros((len(sources), n))
    start[np.arange(len(sources)), sources] = 1.0
    dense = _powers(start, max(layers), lambda weights: _dense_step(stack, weights))
    own = _powers(start, max(layers), stack.walk(1).down) if stack.period == 1 else []
    found = []
    for residual in residuals:
        pairs = []
        for k in layers:
            mine = _blend(own, residual, k) if own else _descended(stack, start, residual, k)
            pairs.append((mine, _blend(dense, residual, k)))
        found.append(_compared(stack, residual, layers, pairs))
    return found


def _compared(
    stack: LayeredRelation, residual: float, layers: list[int], pairs: list[tuple[Vector, Vector]]
) -> ExpectedInfluence:
    n, even = stack.n, 1.0 / stack.n
    output, token = (n - 1, n // 2) if stack.causal else (n // 2, _last_ordinary(stack))
    at = int(np.searchsorted(_sources(n), output))
    seen = _seen(stack, output, token, layers)
    return ExpectedInfluence(
        residual,
        output,
        token,
        tuple(layers),
        to_dense=tuple(float(0.5 * np.abs(own - dense).sum(axis=1).mean()) for own, dense in pairs),
        to_even=tuple(float(0.5 * np.abs(own[at] - even).sum()) for own, _ in pairs),
        far=tuple(
            float(own[at, token] / even) if k in seen else 0.0 for k, (own, _) in zip(layers, pairs, strict=True)
        ),
        dense_far=tuple(float(dense[at, token] / even) for _, dense in pairs),
        on_first=tuple(float(own[at, 0]) for own, _ in pairs),
    )


def _seen(stack: LayeredRelation, output: int, token: int, layers: list[int]) -> set[int]:
    """The depths at which the token is within reach: sums of floats leave traces where there is nothing."""
    if stack.period > 1:
        return {k for k in layers if field_of(stack, output, k)[token]}
    seen = np.arange(stack.n) == output
    for k in range(1, max(layers) + 1):
        seen = wider(stack.part(1), seen)
        if seen[token]:
            return {later for later in layers if later >= k}
    return set()


def _last_ordinary(stack: LayeredRelation) -> int:
    """The last token that is not global: a hub is near to everybody."""
    ordinary = np.flatnonzero(~global_tokens(stack)[0])
    return int(ordinary[-1]) if len(ordinary) else stack.n - 1


def _sources(n: int) -> np.ndarray:
    """The outputs that are looked at: the last, the middle one and one a quarter in."""
    return np.unique([n // 4, n // 2, n - 1])


def _depths(stack: LayeredRelation, depth: int) -> list[int]:
    """Every layer where the layers are alike; else a few, since each depth starts from its own top layer."""
    depth = max(1, min(depth, ALL_DEPTHS))
    if stack.period == 1:
        return list(range(1, depth + 1))
    return sorted({min(k, depth) for k in (1, 2, 3, 4, 6, 8, 12)})


def _powers(start: Vector, depth: int, step: Callable[[Vector], Vector]) -> list[Vector]:
    found = [start]
    for _ in range(depth):
        found.append(step(found[-1]))
    return found


def _blend(powers: list[Vector], residual: float, depth: int) -> Vector:
    """(r I + (1 - r) M)^depth from the powers of M: each layer is skipped or not, as the binomial says."""
    total = np.zeros_like(powers[0])
    for k in range(depth + 1):
        total += comb(depth, k) * residual ** (depth - k) * (1 - residual) ** k * powers[k]
    return total


def _descended(stack: LayeredRelation, start: Vector, residual: float, depth: int) -> Vector:
    """The same where layers differ: from the top layer down to the first."""
    weights = start
    for layer in range(depth, 0, -1):
        weights = residual * weights + (1 - residual) * stack.walk(layer).down(weights)
    return weights


def _dense_step(stack: LayeredRelation, weights: Vector) -> Vector:
    if stack.causal:
        return np.cumsum((weights / stack.allowed)[:, ::-1], axis=1)[:, ::-1]
    return np.repeat(weights.sum(axis=1, keepdims=True) / stack.n, stack.n, axis=1)
