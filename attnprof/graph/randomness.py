"""Random block patterns over many seeds: how often a depth reaches everything, and what the randomness is good for.

A draw is answered on its blocks: token i reaches token j exactly when a walk of blocks leads from one to the other, so
nothing is lost (Zaheer et al. 2020 draw blocks, not keys).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attnprof.graph.confidence import median_interval, proportion
from attnprof.graph.engines.bits import Words
from attnprof.graph.subject import Subject
from attnprof.machine import usable_cores
from attnprof.pattern import BlockTable, Pattern
from attnprof.pattern.slices import Ints

Draw = Callable[[int], Pattern]
SHARED_FROM = 1 << 18  # tokens; of shorter patterns arrays are so small that threads wait for each other


@dataclass(frozen=True, eq=False)
class Rows:
    """What blocks read in one layer: `columns [k, blocks]` (a row without a k-th block names itself), and full rows."""

    columns: Ints
    full: Ints
    itself: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Trials:
    """Over seeds: reach share after each layer, `[seeds, layers]`, and whether some block was unread in layer 1."""

    shares: NDArray[np.float64]
    unread: NDArray[np.bool_]
    heads: int

    def to_json(self) -> dict[str, object]:
        """The variant's entry of the record: 95% intervals of the probability of full reach, and of the median share.

        The latter is None below six seeds.
        """
        seeds, layers = self.shares.shape
        full = self.shares >= 1.0
        first = np.where(full.any(axis=1), full.argmax(axis=1) + 1, 0)
        return {
            "seeds": seeds,
            "heads": self.heads,
            "p_full_by_layer": [_chance(at + 1, int(full[:, at].sum()), seeds) for at in range(layers)],
            "layers_to_full": {str(k): int((first == k).sum()) for k in np.unique(first[first > 0]).tolist()},
            "never_within": int((first == 0).sum()),
            "reach_share": [_share(at + 1, self.shares[:, at]) for at in range(layers)],
            "p_unread_block": _chance(1, int(self.unread.sum()), seeds),
        }


def _chance(layer: int, hits: int, trials: int) -> dict[str, float]:
    low, high = proportion(hits, trials)
    return {"layer": layer, "p": hits / trials, "low": low, "high": high}


def _share(layer: int, shares: NDArray[np.float64]) -> dict[str, float | None]:
    low, high = median_interval(shares.tolist()) or (None, None)
    middle = float(np.sort(shares)[(len(shares) - 1) // 2])
    return {"layer": layer, "mean": float(shares.mean()), "median": middle, "low": low, "high": high}


def trials(
    draw: Draw, seeds: Sequence[int], layers: int, threads: int = 0, tell: Callable[[int, int], None] | None = None
) -> Trials:
    """The reach of every seed's pattern, drawn anew for each layer and united over its heads.

    `tell(done, total)` hears of each seed.
    """
    first = draw(seeds[0])
    workers = min(threads or (usable_cores() if first.n >= SHARED_FROM else 1), len(seeds))
    found = []
    with ThreadPoolExecutor(workers) as pool:
        for each in pool.map(lambda seed: one_trial(draw(seed), layers), seeds):
            found.append(each)
            if tell is not None:
                tell(len(found), len(seeds))
    reached, unread = zip(*found, strict=True)
    return Trials(np.stack(reached), np.asarray(unread), first.heads)


def one_trial(pattern: Pattern, layers: int) -> tuple[NDArray[np.float64], bool]:
    """Share of token pairs within 1, ..., `layers` layers, and whether a block is unread in the first."""
    first, size = _rows(pattern, 0)
    count = len(first.itself)
    own = np.zeros((count, -(-count // 64)), dtype=np.uint64)
    at = np.arange(count)
    own[at, at // 64] = np.uint64(1) << (at % 64).astype(np.uint64)
    state = np.zeros_like(own)
    shares = np.ones(layers)
    for layer in range(layers):
        rows = first if layer == 0 else _rows(pattern, layer)[0]
        state = _layer(rows, state, own)
        reached = int(np.bitwise_count(state).sum(dtype=np.int64)) * size**2
        lone = int(((state & own) == 0).all(axis=1).sum()) * size
        shares[layer] = (reached + lone) / (count * size) ** 2
        if shares[layer] >= 1.0:
            break
    return shares, _unread(first, count)


def _layer(rows: Rows, state: Words, own: Words) -> Words:
    """Blocks reached through one more layer; a token stays in reach of itself, its block only once it is read."""
    source = state | own
    grown = state.copy()
    for column in rows.columns:
        grown |= source.take(column, axis=0)
    _keep_read_back(rows, state, own, grown)
    if len(rows.full):
        grown[rows.full] = np.bitwise_or.reduce(source, axis=0)
    return grown


def _keep_read_back(rows: Rows, state: Words, own: Words, grown: Words) -> None:
    """Take its own block out of the reach of a block that does not read itself, unless some block that it reads has it.

    That is one bit a row, and right already in a row that names itself nowhere.
    """
    here = np.flatnonzero(~rows.itself & (rows.columns == np.arange(len(state))).any(axis=0))
    word, read = here // 64, rows.columns[:, here]
    read_back = np.bitwise_or.reduce(np.where(read != here, state[read, word], np.uint64(0)), axis=0)
    grown[here, word] &= ~own[here, word] | state[here, word] | read_back


def _rows(pattern: Pattern, layer: int) -> tuple[Rows, int]:
    """The blocks that each block reads in a layer, heads united, and the size of a block."""
    exprs = [pattern.expr(layer, head) for head in range(pattern.heads)]
    tables = [expr for expr in exprs if isinstance(expr, BlockTable)]
    if len(tables) == len(exprs) and pattern.n % tables[0].size == 0 and not tables[0].causal:
        return _of_columns(_columns(tables), np.asarray(tables[0].full, dtype=np.int64)), tables[0].size
    united = Subject(pattern).stack.parts[layer % pattern.layers]
    indptr, keys = united.quotient.csr()
    width = int(np.diff(indptr).max())
    columns = np.full((width, united.quotient.n), -1)
    row = np.repeat(np.arange(united.quotient.n), np.diff(indptr))
    columns[np.arange(len(keys)) - indptr[row], row] = keys
    return _of_columns(columns, np.zeros(0, dtype=np.int64)), united.size


def _columns(heads: Sequence[BlockTable]) -> Ints:
    """What some heads read, `[k, blocks]`: the columns of the window and of the globals, which they share, once."""
    first, *others = (np.ascontiguousarray(head.table.T) for head in heads)
    alike = [other[(other != first).any(axis=1)] if other.shape == first.shape else other for other in others]
    return np.concatenate([first, *alike])


def _of_columns(columns: Ints, full: Ints) -> Rows:
    at = np.arange(columns.shape[1])
    itself = (columns == at).any(axis=0)
    itself[full] = True
    return Rows(np.where(columns < 0, at, columns), full, itself)


def _unread(rows: Rows, count: int) -> bool:
    if len(rows.full):
        return False
    read = np.zeros(count, dtype=np.bool_)
    at = np.arange(count)
    for column in rows.columns:
        read[column[(column != at) | rows.itself]] = True
    return not bool(read.all())
