"""A plan to execute a sparse pattern: query tiles, the key blocks that each of them reads, and the masks within.

Plans are NumPy only and small: no array of theirs grows with the number of executed pairs (a mask that does is a
function, called when tensors are made of it). `layers/gathered.py` executes them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from attnprof.pattern.slices import Bools, Ints


@dataclass(frozen=True, eq=False)
class View:
    """An order of the tokens, cut into blocks: as they come, by residue of a stride, or a selection (-1 pads).

    `blocks(n, size)` is how many blocks of `size` rows the view of `n` tokens has, padding included.
    """

    kind: Literal["natural", "residue", "select"] = "natural"
    stride: int = 1
    tokens: Ints | None = None

    def blocks(self, n: int, size: int) -> int:
        """Number of blocks of `size` positions; each residue class is padded on its own."""
        if self.tokens is not None:
            return -(-len(self.tokens) // size)
        return self.stride * self.group_blocks(n, size)

    def group_blocks(self, n: int, size: int) -> int:
        """Blocks of one residue class (of the whole sequence, for the natural order)."""
        longest = -(-n // self.stride)
        return -(-longest // size)

    def positions(self, n: int, size: int) -> Ints:
        """Token at each position, `[blocks, size]`; -1 where the position is padding."""
        if self.tokens is not None:
            padded = np.full(self.blocks(n, size) * size, -1, dtype=np.int64)
            padded[: len(self.tokens)] = self.tokens
            return padded.reshape(-1, size)
        rank = np.arange(self.group_blocks(n, size) * size)
        tokens = (rank * self.stride + np.arange(self.stride)[:, None]).reshape(-1, size)
        return np.where(tokens < n, tokens, -1)


NATURAL = View()


@dataclass(frozen=True, eq=False)
class TilePart:
    """Some of the edges of a pattern as tiles of `q_block` query rows by `width` keys.

    Which keys tile t reads is said in one of three ways: `shifts` (the key blocks t + s), `table` (`[heads or 1, tiles,
    blocks]`, -1 for none), or neither (all keys of the key view, shared by every tile). Three masks restrict it, each
    None where it would be all True: `relative [q_block, width]`, `key_ok [heads or 1, tiles, width]`, and
    `full() -> [heads or 1, tiles, q_block, width]`. `tiles` selects query blocks of the view (None: all of them); the
    rows of a part that `joins` others read in those what the other parts of their softmax do not have. `reads` says of
    a mask that is not made yet whether every row, padding included, is sure to have a key.
    """

    n: int
    q_view: View
    k_view: View
    q_block: int
    k_block: int
    shifts: tuple[int, ...] | None = None
    table: Ints | None = None
    tiles: Ints | None = None
    relative: Bools | None = None
    key_ok: Bools | None = None
    full: Callable[[], Bools] | None = None
    reads: bool = False
    joins: bool = False

    @property
    def count(self) -> int:
        """Number of tiles."""
        return self.q_view.blocks(self.n, self.q_block) if self.tiles is None else len(self.tiles)

    @property
    def width(self) -> int:
        """Keys of one tile, padding included."""
        if self.shifts is not None:
            return len(self.shifts) * self.k_block
        if self.table is not None:
            return self.table.shape[-1] * self.k_block
        return self.k_view.blocks(self.n, self.k_block) * self.k_block

    @property
    def executed(self) -> int:
        """Query-key pairs that are computed, masked ones and padding included."""
        return self.count * self.q_block * self.width

    def signature(self) -> tuple[object, ...]:
        """Two parts of equal signature differ in tables and key masks only, so that heads can share one execution."""
        views = tuple((v.kind, v.stride, None if v.tokens is None else v.tokens.tobytes()) for v in self._views())
        table = None if self.table is None else self.table.shape[1:]
        tiles = None if self.tiles is None else self.tiles.tobytes()
        relative = None if self.relative is None else self.relative.tobytes()
        return (
            views,
            self.q_block,
            self.k_block,
            self.shifts,
            table,
            tiles,
            relative,
            self.key_ok is None,
            self.full is None,
            self.reads,
        )

    def _views(self) -> tuple[View, View]:
        return self.q_view, self.k_view

    def rows(self) -> Ints:
        """The query of each tile row, `[tiles, q_block]`, -1 for padding."""
        rows = self.q_view.positions(self.n, self.q_block)
        return rows if self.tiles is None else rows[self.tiles]

    def keys(self) -> Ints:
        """The key of each tile column, `[heads or 1, tiles, width]`, -1 for padding and for blocks out of range."""
        positions = self.k_view.positions(self.n, self.k_block)
        if self.shifts is None and self.table is None:
            return np.broadcast_to(positions.reshape(1, 1, -1), (1, self.count, self.width))
        blocks = self._shifted() if self.table is None else self.table
        padded = np.concatenate([positions, np.full((1, self.k_block), -1)])
        return padded[blocks].reshape(*blocks.shape[:2], self.width)

    def allowed(self, test: Callable[[Ints], Bools] | None = None) -> Bools:
        """Which tile columns are tokens, and such that pass the test, `[heads or 1, tiles, width]`.

        Looked up block by block, so that nothing larger than the answer is made.
        """
        positions = self.k_view.positions(self.n, self.k_block)
        ok = positions >= 0 if test is None else (positions >= 0) & test(positions)
        if self.shifts is None and self.table is None:
            return np.broadcast_to(ok.reshape(1, 1, -1), (1, self.count, self.width))
        blocks = self._shifted() if self.table is None else self.table
        padded = np.concatenate([ok, np.zeros((1, self.k_block), dtype=np.bool_)])
        return padded[blocks].reshape(*blocks.shape[:2], self.width)

    def _shifted(self) -> Ints:
        """Block ids of a shifted part, -1 beyond the residue class of the tile."""
        assert self.shifts is not None
        group = self.k_view.group_blocks(self.n, self.k_block) if self.k_view.tokens is None else self.count
        tile = np.arange(self.count)[:, None]
        at = tile % group + np.asarray(self.shifts)
        return np.where((at >= 0) & (at < group), tile + np.asarray(self.shifts), -1)[None]


@dataclass(frozen=True, eq=False)
class TileStack:
    """Parts that share one softmax. Several parts cover all n rows; a single one may cover some of them."""

    parts: tuple[TilePart, ...]

    def rows(self) -> Ints:
        """The query that each output row of this stack stands for, -1 for padding."""
        first, *others = self.parts
        return np.arange(first.n) if others else first.rows().ravel()


@dataclass(frozen=True, eq=False)
class TilePlan:
    """How one head (or several alike) of a pattern is executed: stacks, and which output row each query takes."""

    n: int
    stacks: tuple[TileStack, ...]

    @property
    def pick(self) -> Ints | None:
        """For each query its row in the concatenated outputs of the stacks (the last stack wins); None if in place."""
        rows = np.concatenate([stack.rows() for stack in self.stacks])
        if len(self.stacks) == 1 and len(rows) >= self.n and bool((rows[: self.n] == np.arange(self.n)).all()):
            return None
        pick = np.zeros(self.n + 1, dtype=np.int64)
        pick[rows] = np.arange(len(rows))
        return pick[: self.n]

    @property
    def executed(self) -> int:
        """Query-key pairs computed, for one head."""
        return sum(part.executed for stack in self.stacks for part in stack.parts)

    def signature(self) -> tuple[object, ...]:
        """Equal for plans that heads can execute together."""
        return tuple(tuple(part.signature() for part in stack.parts) for stack in self.stacks)
