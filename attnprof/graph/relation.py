"""What metrics and engines know of who reads whom in a layer, however it is stored: one protocol."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from numpy.typing import NDArray

from attnprof.graph.pixels import Counts, Grid
from attnprof.pattern import Slices
from attnprof.pattern.slices import Bools, Ints

NAMED = 5
"""Edges to the future that are named."""


@dataclass(frozen=True, slots=True)
class FutureEdges:
    """Pairs (query, later token) of one layer, heads united: how many, and the first of them."""

    count: int
    first: tuple[tuple[int, int], ...]


@dataclass(frozen=True, eq=False)
class SlotWays:
    """The ways over `count` slot nodes: `reads [count, n]`, slots that read tokens, and `writes [n, count]`, back."""

    count: int
    reads: Slices
    writes: Slices


class Relation(Protocol):
    """Who reads whom in one layer, heads united, or in one head: edges between tokens, and ways over slots beside them.

    Edges are held as a blow-up: block I of `size` queries reads block J of keys as `quotient` says, all of it. With
    `cut` the blocks on the diagonal are lower triangular, and all others are of the past. A relation without blocks has
    `size` 1 and is its own quotient. All but `push` and what reads the future or the past speak
    of the edges alone.
    """

    @property
    def n(self) -> int:
        """Tokens."""
        ...

    @property
    def size(self) -> int:
        """Tokens of a block."""
        ...

    @property
    def quotient(self) -> Slices:
        """Edges between blocks, `[n / size, n / size]`, of step 1 where `size` is above 1."""
        ...

    @property
    def cut(self) -> bool:
        """Whether causality cuts the blocks on the diagonal."""
        ...

    @property
    def ways(self) -> SlotWays | None:
        """The slots in which tokens meet; None where there are none."""
        ...

    @property
    def edges(self) -> int:
        """Distinct edges between tokens."""
        ...

    @property
    def stored(self) -> int:
        """Slices that it takes in memory."""
        ...

    @property
    def reads_future(self) -> bool:
        """Whether some query can see a key after it."""
        ...

    @property
    def reads_past(self) -> bool:
        """Whether some query can see a key before it."""
        ...

    def future(self) -> FutureEdges:
        """The edges that read the future; through slots, a query and the newest token that it sees."""
        ...

    def out_degree(self) -> Ints:
        """Keys that each query reads, `[n]`."""
        ...

    def in_degree(self) -> Ints:
        """Queries that read each key, `[n]`."""
        ...

    def push(self, w: NDArray) -> NDArray:
        """Each query hands its `w [n]` to every token that it reads, once for each way there, `[n]`."""
        ...

    def pooled(self, grid: Grid) -> Counts:
        """Edges in each pixel, `[side, side]`."""
        ...

    def tokens(self) -> Slices:
        """The edges as slices of tokens, `[n, n]`."""
        ...

    def refined(self, size: int) -> Slices:
        """The edges between smaller blocks, whose size divides this one's."""
        ...

    def without(self, gone: Bools) -> Relation:
        """The relation over the tokens that are left, renumbered."""
        ...


def reads(part: Relation) -> Ints:
    """Keys and slots that each query reads, `[n]`."""
    return part.out_degree() + (0 if part.ways is None else part.ways.writes.out_degree())


def readers(part: Relation) -> Ints:
    """Queries and slots that read each key, `[n]`."""
    return part.in_degree() + (0 if part.ways is None else part.ways.reads.in_degree())
