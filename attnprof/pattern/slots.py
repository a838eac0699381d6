"""Schemes that do not reach tokens by edges between tokens: through slots, or through a kernel of bounded rank."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from attnprof.pattern.expr import Expr, Globals
from attnprof.pattern.primitives import Dense
from attnprof.pattern.slices import Slices


@dataclass(frozen=True, eq=False)
class Slots(Expr):
    """Tokens reach tokens through `count` slot nodes: `reads` is slot <- token, `writes` is token <- slot.

    As a token pattern (`slices`) it is the composition: i -> j where some slot that i reads has read j. A slot count is
    the bound of the rank of one head. `direct` are edges between tokens beside those through slots; `in_a_row`: they
    are an attention that comes first, so that slots read what it wrote.
    """

    count: int
    reads: Slices
    writes: Slices
    direct: Expr | None = None
    in_a_row: bool = False

    @classmethod
    def full(cls, n: int, count: int, direct: Expr | None = None) -> Slots:
        """Every slot reads every token, every token reads every slot (Linformer, Set Transformer, Perceiver)."""
        reads = Slices.of(count, np.arange(count), 0, n, 1, n)
        writes = Slices.of(n, np.arange(n), 0, count, 1, count)
        return cls(count, reads, writes, direct)

    @classmethod
    def pooled(cls, n: int, size: int, causal: bool = False) -> Slots:
        """A slot for every `size` tokens, read by all, or causally once it is complete (pooling, compressed memory)."""
        count, i = -(-n // size), np.arange(n)
        slot = np.arange(count)
        reads = Slices.of(count, slot, slot * size, slot * size + size, 1, n)
        return cls(count, reads, Slices.of(n, i, 0, (i + 1) // size if causal else count, 1, count))

    def slices(self, n: int) -> Slices:
        composed = compose(self.writes, self.sources(n))
        return composed if self.direct is None else composed.joined(self.direct.slices(n)).disjoint()

    def declares(self, n: int) -> Globals:
        return Globals.none(n) if self.direct is None else self.direct.declares(n)

    def sources(self, n: int) -> Slices:
        """The tokens that each slot depends on, `[count, n]`: those it reads, and what they read if in a row."""
        if self.direct is None or not self.in_a_row:
            return self.reads
        i = np.arange(n)
        return compose(self.reads, self.direct.slices(n).joined(Slices.of(n, i, i, i + 1)).disjoint())


class DrawnSlots(Slots):
    """Slots given by a draw, made when somebody asks who reads what: `draw()` gives them, `count` how many they are."""

    def __init__(self, count: int, draw: Callable[[], Slots]) -> None:
        object.__setattr__(self, "count", count)
        object.__setattr__(self, "draw", cache(draw))

    draw: Callable[[], Slots]

    @property
    def reads(self) -> Slices:  # pyright: ignore[reportIncompatibleVariableOverride]
        """What the drawn slots read."""
        return self.draw().reads

    @property
    def writes(self) -> Slices:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The drawn slots that each token reads."""
        return self.draw().writes

    @property
    def direct(self) -> Expr | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The drawn edges beside them."""
        return self.draw().direct


@dataclass(frozen=True)
class Kernel(Expr):
    """A complete graph (of the past, if causal) whose weight matrix has rank at most `rank`.

    `decay` is the factor a token of the past loses with every step (None: nothing is forgotten).
    """

    rank: int
    causal: bool = False
    decay: float | None = None

    def slices(self, n: int) -> Slices:
        return Dense(self.causal).slices(n)


def fading_at_start(seed: int, layer: int, head: int) -> float:
    """What a state keeps a token at the start of training: exp(-A dt), A in [1, 16], dt log-uniform in [0.001, 0.1].

    Of Mamba-2 (Dao and Gu 2024) and what took its gates over.
    """
    draw = np.random.default_rng([seed, layer, head])
    return float(np.exp(-draw.uniform(1, 16) * np.exp(draw.uniform(np.log(0.001), np.log(0.1)))))


def compose(first: Slices, second: Slices) -> Slices:
    """The relation first o second: row i of `first` reads k, row k of `second` reads j."""
    counts = first.counts
    middle = first.csr()[1]
    outer = np.repeat(first.row, counts)
    begin = np.searchsorted(second.row, middle)
    size = np.searchsorted(second.row, middle, side="right") - begin
    at = np.repeat(begin - (np.cumsum(size) - size), size) + np.arange(int(size.sum()))
    row = np.repeat(outer, size)
    return Slices.of(first.n, row, second.start[at], second.stop[at], second.step[at], second.m).disjoint()
