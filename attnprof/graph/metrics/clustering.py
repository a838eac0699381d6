"""Clustering: how often two neighbours of a token are neighbours themselves (Watts and Strogatz 1998).

Of the undirected graph of the first layer, self-edges left out; a token with fewer than two neighbours counts as 0.
"""

from __future__ import annotations

import numpy as np

from attnprof.graph.blocked import Blocked
from attnprof.graph.randomness import wilson
from attnprof.graph.stack import Slotted
from attnprof.graph.subject import Facts, Subject
from attnprof.pattern import Slices
from attnprof.pattern.slices import Bools, Ints

EXACT = 1024
WEDGES = 400
LARGEST = 1 << 18
MOST_SLICES = 1 << 20


def clustering(subject: Subject) -> Facts:
    """The mean over the tokens of the share of pairs of neighbours that are joined.

    Exact up to 1024 tokens, or as many blocks of a block-constant mask; else from 400 wedges, with a Wilson interval.
    """
    part = subject.stack.parts[0]
    if isinstance(part, Slotted):
        return _none("tokens meet in slots: they have no neighbours")
    if isinstance(part, Blocked) and not part.causal and part.blocks.n <= EXACT:
        return _exact(of_blocks(part))
    if part.n > LARGEST:
        return _none(f"sampled up to {LARGEST:,} tokens")
    slices = part.tokens() if isinstance(part, Blocked) else part
    if slices.n <= EXACT:
        return _exact(of_tokens(slices))
    if len(slices.row) > MOST_SLICES:
        return _none(f"sampled up to {MOST_SLICES:,} slices")
    rng = np.random.default_rng(subject.ask.seed)
    closed = sum(wedge_closed(slices, rng) for _ in range(WEDGES))
    low, high = wilson(closed, WEDGES)
    interval = {"low": low, "high": high, "wedges": WEDGES, "seed": subject.ask.seed}
    return Facts({"clustering": closed / WEDGES, "clustering_interval": interval}, {"clustering": "sampled"})


def _exact(value: float) -> Facts:
    return Facts({"clustering": value, "clustering_interval": None}, reasons={"clustering_interval": "it is exact"})


def _none(why: str) -> Facts:
    keys = ("clustering", "clustering_interval")
    return Facts(dict.fromkeys(keys), reasons=dict.fromkeys(keys, why))


def of_tokens(slices: Slices) -> float:
    """The exact coefficient from the whole mask: n * n numbers."""
    joined = slices.dense()
    joined |= joined.T
    np.fill_diagonal(joined, val=False)
    return _mean(joined.astype(np.float64), joined)


def _mean(matrix: np.ndarray, joined: Bools) -> float:
    degree = joined.sum(1)
    closed = np.einsum("ij,ij->i", matrix @ matrix, matrix)
    return float((closed / np.maximum(degree * (degree - 1), 1)).mean())


def of_blocks(part: Blocked) -> float:
    """The exact coefficient of a blow-up: every token of a block has the same neighbours but for itself."""
    joined = part.blocks.dense()
    joined |= joined.T
    own = np.diag(joined)
    members = np.where(joined, part.size, 0) - np.diag(own * 1)
    pairs = np.einsum("ij,jk,ik->i", members, joined, members, optimize=True) - members @ own
    degree = members.sum(1)
    return float((pairs / np.maximum(degree * (degree - 1), 1)).mean())


def wedge_closed(slices: Slices, rng: np.random.Generator) -> bool:
    """Whether two neighbours, drawn at random, of a token drawn at random are joined."""
    around = neighbours(slices, int(rng.integers(slices.n)))
    if len(around) < 2:
        return False
    a, b = rng.choice(around, 2, replace=False).tolist()
    return bool((_keys(slices, a) == b).any() or (_keys(slices, b) == a).any())


def neighbours(slices: Slices, token: int) -> Ints:
    """The tokens that read it or that it reads, itself left out."""
    named = (slices.start <= token) & (token < slices.stop) & ((token - slices.start) % slices.step == 0)
    both = np.union1d(_keys(slices, token), slices.row[named])
    return both[both != token]


def _keys(slices: Slices, row: int) -> Ints:
    first, last = np.searchsorted(slices.row, (row, row + 1))
    spans = zip(slices.start[first:last], slices.stop[first:last], slices.step[first:last], strict=True)
    return np.concatenate([np.zeros(0, dtype=np.int64), *(np.arange(*span) for span in spans)])
