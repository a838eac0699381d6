"""Structure as yes or no: star, self, path, causality, symmetry, Toeplitz, blocks."""

from __future__ import annotations

import numpy as np

from attnprof.graph.blocked import BlockConstant
from attnprof.graph.layered import Slotted
from attnprof.graph.products import is_symmetric
from attnprof.graph.structure import blocks_of, hubs_of, is_complete, is_toeplitz, self_reading
from attnprof.graph.subject import Facts, Subject
from attnprof.pattern import Slices
from attnprof.words import Certainty


def structure(subject: Subject) -> Facts:
    """What is true of the layers, heads united: a flag holds of every layer, but for the path, which all may build."""
    parts = [part for part in subject.stack.parts if not isinstance(part, Slotted)]
    if len(parts) < subject.stack.period:
        return Facts({"structure": None}, reasons={"structure": "tokens meet in slots"})
    found = {
        "star": all(_star(part) for part in parts) and not subject.stack.causal,
        "self": all(_self(part) for part in parts),
        "hamiltonian_path": "yes" if _path(parts) else "unknown",
        "causal": subject.stack.causal,
        "reads_future": subject.stack.reads_future,
        "symmetric": all(_symmetric(part) for part in parts),
        "toeplitz": all(_toeplitz(part) for part in parts),
        "block_constant": _block(parts, subject.n),
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


def _star(part: Slices | BlockConstant) -> bool:
    """Whether some token reads all and is read by all: the smallest universal pattern."""
    return bool(hubs_of(part.blocks if isinstance(part, BlockConstant) else part).any())


def _self(part: Slices | BlockConstant) -> bool:
    return bool(self_reading(part.blocks if isinstance(part, BlockConstant) else part).all())


def _path(parts: list[Slices | BlockConstant]) -> bool:
    """Whether every token and its successor are linked, in some direction, in some layer: then 0, 1, ... is a path."""
    linked = np.logical_or.reduce([_neighbours(part) for part in parts])
    return bool(linked.all())


def _neighbours(part: Slices | BlockConstant) -> np.ndarray:
    if isinstance(part, BlockConstant):
        ends = np.repeat(self_reading(part.blocks), part.size)[:-1]
        ends[part.size - 1 :: part.size] = _neighbours(part.blocks)
        return ends
    linked = np.zeros(part.n - 1, dtype=np.bool_)
    for offset in (1, -1):
        key = part.row + offset
        hit = (part.start <= key) & (key < part.stop) & ((key - part.start) % part.step == 0)
        rows = part.row[hit]
        linked[rows if offset == 1 else rows - 1] = True
    return linked


def _symmetric(part: Slices | BlockConstant) -> bool:
    if isinstance(part, BlockConstant):
        return part.edges == 0 or (not part.causal and is_symmetric(part.blocks))
    return is_symmetric(part)


def _toeplitz(part: Slices | BlockConstant) -> bool:
    """Blocks of two tokens or more overlap in their lags: only a complete mask of blocks, or none, is Toeplitz."""
    if isinstance(part, BlockConstant):
        return part.edges == 0 or is_complete(part.blocks, part.causal)
    return is_toeplitz(part)


def _block(parts: list[Slices | BlockConstant], n: int) -> int | None:
    """The size of the blocks that every layer is constant on (under causality up to the diagonal), if above 1."""
    found = [part if isinstance(part, BlockConstant) else blocks_of(part) for part in parts]
    sizes = [each.size for each in found if each is not None]
    size = int(np.gcd.reduce(sizes)) if len(sizes) == len(parts) else 1
    return size if size > 1 else None
