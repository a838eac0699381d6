"""The pattern of a scheme as a picture, pooled exactly from the slices of its catalogue entry."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from attnprof.errors import AttnprofError
from attnprof.graph.pixels import Grid, pooled
from attnprof.records import Record
from attnprof.targets import catalog, door
from attnprof.words import Status

SIDE = 128
LONGEST = 4096
UNLIKE = 2.5
MOST_KINDS = 4


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A pooled mask `[rows, columns]` of the share of pairs in each pixel that are edges, and the n it was drawn at.

    It shows the first of `layers` layer kinds, and the union of heads or, where `heads` is above 1, the first of them;
    `others` hold the layer kinds after it, as far as they look different, at most `MOST_KINDS` in all.
    """

    values: object
    n: int | None = None
    causal: bool | None = None
    layers: int = 1
    heads: int = 1
    others: tuple[object, ...] = ()


Pictures = Callable[[str], Picture | None]


def catalogue_pictures(records: Iterable[Record]) -> Pictures:
    """Pictures of the catalogue's sparse schemes with the parameters of the records, at their longest n up to 4k.

    None for a name that is not of the catalogue, a scheme whose tokens meet in slots or kernels, and a complete graph.
    """
    chosen: dict[str, Record] = {}
    for record in records:
        target = record.point.target
        if target not in chosen or _fitness(record) > _fitness(chosen[target]):
            chosen[target] = record
    known = set(catalog.names())
    return lambda name: _picture(chosen[name]) if name in chosen and name in known else None


def _fitness(record: Record) -> tuple[bool, int, bool]:
    """Prefers what runs, then the longest n that is no longer than a picture can show, then the bidirectional form."""
    n = record.point.shape.n
    return record.status is not Status.UNSUPPORTED, n if n <= LONGEST else -n, not record.point.shape.causal


def _picture(record: Record) -> Picture | None:
    shape = record.point.shape
    try:
        target = door.find(record.point.target, params=record.point.params)
    except AttnprofError:
        return None  # a run of an earlier catalogue, whose parameters this one does not know
    pattern = None if target.card.data_dependent else target.pattern(shape)
    if pattern is None or record.status is Status.UNSUPPORTED:
        return None
    grid = Grid.of(shape.n, SIDE)
    allowed = grid.allowed(shape.causal)
    kinds = []
    several = False
    for layer in range(min(pattern.layers, MOST_KINDS)):
        union, first = pattern.union(layer), pattern.slices(layer, 0)
        apart = union.edges > UNLIKE * first.edges
        several = several or apart
        kinds.append(pooled(first if apart else union, grid))
    if all(bool((edges == allowed).all()) for edges in kinds):
        return None
    shares = [edges / np.maximum(grid.allowed(False), 1) for edges in kinds]
    others = tuple(s for k, s in enumerate(shares) if k and not any(np.array_equal(s, t) for t in shares[:k]))
    return Picture(shares[0], shape.n, shape.causal, pattern.layers, pattern.heads if several else 1, others)
