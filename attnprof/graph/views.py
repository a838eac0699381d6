"""What a page draws of a pattern: pooled mask, hop images by layer, and the cone of what a query can see."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attnprof.graph.field import field_of, wider
from attnprof.graph.layered import LayeredRelation
from attnprof.graph.metrics.mixing import unweighed
from attnprof.graph.pixels import Grid
from attnprof.graph.subject import Subject
from attnprof.graph.walks import Walk

Share = NDArray[np.float64]
QUERIES = 5
DEPTH = 12
MOST_MASKS = 4
RESIDUAL = 0.5


@dataclass(frozen=True, eq=False)
class Image:
    """Shares of allowed pairs in each pixel, `[side, side]` in [0, 1], NaN where none is allowed; `pixel` in tokens."""

    values: Share
    pixel: int


@dataclass(frozen=True, eq=False)
class Mask:
    """The edges of a layer kind, heads united; `layer` names it where there are several, `beside` if slots join too."""

    image: Image
    layer: str
    beside: bool


@dataclass(frozen=True, eq=False)
class Cone:
    """What one query depends on: for each layer the share of each pixel's tokens, and their influence on it.

    `reach` and `influence` are `[layers, side]`; influence is under heads that each attend uniformly, with a residual
    of one half, as a multiple of a fair share; None where uniform attention says nothing of the scheme.
    """

    query: int
    reach: Share
    influence: Share | None


@dataclass(frozen=True, eq=False)
class Views:
    """Everything drawn: a mask for each layer kind, mean hops, the pairs within k layers, cones of some queries.

    `hops` holds the mean hop of each pixel's reached pairs (0: a token itself), NaN where none is ever reached; None
    where too many layers are needed for each to be kept.
    """

    n: int
    masks: tuple[Mask, ...]
    hops: Image | None
    within: dict[int, Image]
    cones: tuple[Cone, ...]
    pixel: int


def views(subject: Subject, side: int = 256) -> Views:
    """The pictures of a subject, exact in every pixel."""
    stack, grid = subject.stack, Grid.of(subject.n, side)
    reach = subject.reach
    frames = {}
    if reach.grid is not None:
        allowed = reach.grid.allowed(stack.causal)
        frames = {layer: Image(_share(image, allowed), reach.grid.size) for layer, image in reach.images.items()}
    small = Grid.of(subject.n, min(side, 128))
    weighed = not unweighed(subject)
    found = ()
    if subject.kernel is None:
        found = tuple(cone(stack, query, small, weighed=weighed) for query in _queries(subject.n))
    return Views(subject.n, masks(subject, grid), hop_image(subject), frames, found, small.size)


def hop_image(subject: Subject) -> Image | None:
    """The mean hop of each pixel: a pair of hop h is missing from the pictures of 0, 1, ..., h - 1 layers."""
    reach = subject.reach
    layers = sorted(reach.images)
    if reach.grid is None or not layers or layers != list(range(1, layers[-1] + 1)):
        return None
    final = reach.images[layers[-1]]
    missing = sum(final - reach.images[layer] for layer in layers) + final - np.diag(reach.grid.widths)
    return Image(np.where(final > 0, missing / np.maximum(final, 1), np.nan), reach.grid.size)


def masks(subject: Subject, grid: Grid) -> tuple[Mask, ...]:
    """The mask of each layer kind, of at most four; of random draws the first layer's."""
    kinds, found = subject.layer_kinds, []
    for kind in kinds[:MOST_MASKS]:
        image = mask_image(subject, grid, kind.layers[0])
        name = f"layer {kind.layers[0]}, the others drawn alike" if kind.drawn else kind.name if len(kinds) > 1 else ""
        if image is not None:
            found.append(Mask(image, name, subject.stack.part(kind.layers[0]).ways is not None))
    return tuple(found)


def mask_image(subject: Subject, grid: Grid, layer: int = 1) -> Image | None:
    """The edges between tokens of one layer, heads united, as shares of each pixel; None where all are of slots."""
    part = subject.stack.part(layer)
    if part.ways is not None and part.edges == 0:
        return None
    return Image(_share(part.pooled(grid), grid.allowed(subject.stack.causal)), grid.size)


def _share(image: np.ndarray, allowed: np.ndarray) -> Share:
    return np.where(allowed > 0, image / np.maximum(allowed, 1), np.nan)


def _queries(n: int) -> list[int]:
    return np.unique(np.linspace(0, n - 1, QUERIES).astype(np.int64)).tolist()


def cone(stack: LayeredRelation, query: int, grid: Grid, depth: int = DEPTH, weighed: bool = True) -> Cone:
    """The receptive field of one query, layer by layer from the top: exact sets, and what uniform heads weigh."""
    n = stack.n
    fields, weights = [], []
    seen, weight = np.zeros(n, dtype=np.bool_), np.zeros(n)
    seen[query], weight[query] = True, 1.0
    for layers in range(1, depth + 1):
        if stack.period == 1:
            seen, weight = wider(stack.part(1), seen), _lower(stack.walk(1), weight) if weighed else weight
        else:
            seen = field_of(stack, query, layers)
            weight = _descended(stack, query, layers) if weighed else weight
        fields.append(np.add.reduceat(seen, grid.edges[:-1], dtype=np.float64) / grid.widths)
        shares = np.where(seen, weight, 0.0)
        weights.append(np.add.reduceat(shares, grid.edges[:-1]) / grid.widths * stack.allowed[query])
        if len(fields) > 1 and stack.period == 1 and bool(seen.all()):
            break
    return Cone(query, np.stack(fields), np.stack(weights) if weighed else None)


def _descended(stack: LayeredRelation, query: int, layers: int) -> np.ndarray:
    weight = np.zeros(stack.n)
    weight[query] = 1.0
    for layer in range(layers, 0, -1):
        weight = _lower(stack.walk(layer), weight)
    return weight


def _lower(walk: Walk, weight: np.ndarray) -> np.ndarray:
    return RESIDUAL * weight + (1 - RESIDUAL) * walk.down(weight[None])[0]
