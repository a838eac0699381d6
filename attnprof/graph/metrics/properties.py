"""Structure as yes or no: star, self, path, causality, symmetry, Toeplitz, blocks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from attnprof.graph.products import is_symmetric
from attnprof.graph.relation import Relation
from attnprof.graph.structure import blocks_of, hubs_of, is_complete, is_toeplitz, self_reading
from attnprof.graph.subject import Facts, Subject
from attnprof.words import Certainty


def structure(subject: Subject) -> Facts:
    """What is true of the layers, heads united: a flag holds of every layer, but for the path, which all may build."""
    parts = subject.stack.parts
    if subject.slotted:
        return Facts({"structure": None}, reasons={"structure": "tokens meet in slots"})
    found = {
        "star": all(bool(hubs_of(part.quotient).any()) for part in parts) and not subject.stack.causal,
        "self": all(bool(self_reading(part.quotient).all()) for part in parts),
        "hamiltonian_path": "yes" if _path(parts) else "unknown",
        "causal": subject.stack.causal,
        "reads_future": subject.stack.reads_future,
        "symmetric": all(_symmetric(part) for part in parts),
        "toeplitz": all(_toeplitz(part) for part in parts),
        "block_constant": _block(parts),
    }
    flags = [name for name in ("star", "self", "causal", "symmetric", "toeplitz") if found[name]]
    if subject.pattern.causal and subject.stack.reads_future:
        flags.append("reads-the-future")
    exact = subject.reach.certainty == Certainty.EXACT
    universal = {
        "every token reads itself": found["self"],
        "consecutive tokens are linked": found["hamiltonian_path"],
        "every allowed token is reached": subject.reach.full if exact else "unknown",
    }
    return Facts({"structure": {**found, "universality": universal}}, flags=tuple(flags))


def _path(parts: Sequence[Relation]) -> bool:
    """Whether every token and its successor are linked, in some direction, in some layer: then 0, 1, ... is a path."""
    linked = np.logical_or.reduce([_neighbours(part) for part in parts])
    return bool(linked.all())


def _neighbours(part: Relation) -> np.ndarray:
    """Whether each token is linked to the next, `[n - 1]`: inside of blocks that read themselves, and across."""
    slices = part.quotient
    linked = np.zeros(slices.n - 1, dtype=np.bool_)
    for offset in (1, -1):
        key = slices.row + offset
        hit = (slices.start <= key) & (key < slices.stop) & ((key - slices.start) % slices.step == 0)
        rows = slices.row[hit]
        linked[rows if offset == 1 else rows - 1] = True
    if part.size == 1:
        return linked
    ends = np.repeat(self_reading(slices), part.size)[:-1]
    ends[part.size - 1 :: part.size] = linked
    return ends


def _symmetric(part: Relation) -> bool:
    return part.edges == 0 or (not part.cut and is_symmetric(part.quotient))


def _toeplitz(part: Relation) -> bool:
    """Blocks of two tokens or more overlap in their lags: only a complete mask of blocks, or none, is Toeplitz."""
    if part.size == 1:
        return is_toeplitz(part.quotient)
    return part.edges == 0 or is_complete(part.quotient, part.cut)


def _block(parts: Sequence[Relation]) -> int | None:
    """The size of the blocks that every layer is constant on (under causality up to the diagonal), if above 1."""
    found = [part if part.size > 1 else blocks_of(part.quotient) for part in parts]
    sizes = [each.size for each in found if each is not None]
    size = int(np.gcd.reduce(sizes)) if len(sizes) == len(parts) else 1
    return size if size > 1 else None
