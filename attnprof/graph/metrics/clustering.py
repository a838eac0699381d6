"""Clustering: how often two neighbours of a token are neighbours themselves (Watts and Strogatz 1998).

Of the undirected graph of a layer, its heads united, self-edges left out; mean over the layers (of random draws of one
kind: the first). A token with fewer than two neighbours counts as 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from attnprof.graph.confidence import proportion
from attnprof.graph.relation import Relation
from attnprof.graph.subject import Facts, Subject
from attnprof.pattern import Slices
from attnprof.pattern.slices import Bools, Ints
from attnprof.words import Certainty

EXACT = 1024
WEDGES = 400
LARGEST = 1 << 18
MOST_SLICES = 1 << 20


def clustering(subject: Subject) -> Facts:
    """The mean over the tokens of the share of pairs of neighbours that are joined, heads united, mean over layers.

    Exact up to 1024 tokens, or as many blocks of a block-constant mask; else from 400 wedges, with an exact interval.
    """
    parts = [subject.stack.part(kind.layers[0]) for kind in subject.layer_kinds]
    share = np.asarray([1 if kind.drawn else len(kind.layers) for kind in subject.layer_kinds], dtype=np.float64)
    share /= share.sum()
    if subject.slotted:
        return _none("tokens meet in slots: they have no neighbours")
    known = [_known(part) for part in parts]
    if all(value is not None for value in known):
        return _exact(sum(float(w) * value for w, value in zip(share, known, strict=True) if value is not None))
    if subject.n > LARGEST:
        return _none(f"sampled up to {LARGEST:,} tokens")
    masks = [part.tokens() for part in parts]
    if max(len(mask.row) for mask in masks) > MOST_SLICES:
        return _none(f"sampled up to {MOST_SLICES:,} slices")
    return _sampled(masks, share, subject.ask.seed)


def _known(part: Relation) -> float | None:
    """The exact coefficient where it is within reach."""
    if part.size > 1 and not part.cut and part.quotient.n <= EXACT:
        return of_blocks(part)
    return None if part.n > EXACT else of_tokens(part.tokens())


def _sampled(masks: list[Slices], share: NDArray[np.float64], seed: int) -> Facts:
    """Wedges of layers drawn as often as there are layers of their kind."""
    rng = np.random.default_rng(seed)
    layers = rng.choice(len(masks), WEDGES, p=share) if len(masks) > 1 else np.zeros(WEDGES, dtype=np.int64)
    closed = sum(wedge_closed(masks[layer], rng) for layer in layers.tolist())
    low, high = proportion(closed, WEDGES)
    interval = {"low": low, "high": high, "wedges": WEDGES, "seed": seed}
    return Facts({"clustering": closed / WEDGES, "clustering_interval": interval}, {"clustering": Certainty.SAMPLED})


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


def of_blocks(part: Relation) -> float:
    """The exact coefficient of a blow-up: every token of a block has the same neighbours but for itself."""
    joined = part.quotient.dense()
    joined |= joined.T
    own = np.diag(joined)
    members = np.where(joined, float(part.size), 0.0) - np.diag(own * 1.0)
    pairs = ((members @ joined.astype(np.float64)) * members).sum(axis=1) - members @ own
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
