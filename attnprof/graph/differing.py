"""Two patterns over the same tokens: which pairs only one of them joins, layer after layer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from attnprof.errors import AttnprofError
from attnprof.graph.engines.bits import Words
from attnprof.graph.layered import LayeredRelation
from attnprof.graph.offsets import CHUNK, chunks_of, plans_of, states

NAMED = 3


@dataclass(frozen=True, slots=True)
class LayerDifference:
    """Pairs (query, token) that only the first reaches after `layer` layers, and only the second; some of each named.

    A stack that has fewer layers stays at what its last one reaches.
    """

    layer: int
    only_first: int
    only_second: int
    first_named: tuple[tuple[int, int], ...]
    second_named: tuple[tuple[int, int], ...]


def differences(
    first: LayeredRelation, second: LayeredRelation, depths: tuple[int | None, int | None], most: int
) -> tuple[tuple[LayerDifference, ...], bool]:
    """What only one of two reaches after 1, 2, ..., `most` layers; and whether all tokens were looked at.

    `depths` are the numbers of layers that they have; None of a pattern that repeats.
    """
    if first.n != second.n:
        raise AttnprofError(f"one pattern has {first.n} tokens, the other {second.n}", hint="--n of both")
    n = first.n
    plans = plans_of(first), plans_of(second)
    chunks, whole = chunks_of(n)
    counts = np.zeros((most, 2), dtype=np.int64)
    named: list[tuple[list[tuple[int, int]], list[tuple[int, int]]]] = [([], []) for _ in range(most)]
    for start in chunks:
        seen = [
            _held(list(states(plan, n, start, min(depth or most, most))), most)
            for plan, depth in zip(plans, depths, strict=True)
        ]
        for layer, (mine, theirs) in enumerate(zip(*seen, strict=True)):
            for which, only in enumerate((mine & ~theirs, theirs & ~mine)):
                new = int(np.bitwise_count(only).sum())
                counts[layer, which] += new
                if new and len(named[layer][which]) < NAMED:
                    named[layer][which].extend(_pairs(only, start)[: NAMED - len(named[layer][which])])
    return tuple(
        LayerDifference(at + 1, int(counts[at, 0]), int(counts[at, 1]), tuple(named[at][0]), tuple(named[at][1]))
        for at in range(most)
    ), whole


def _held(found: list[Words], most: int) -> list[Words]:
    return found + [found[-1]] * (most - len(found))


def _pairs(only: Words, start: int) -> list[tuple[int, int]]:
    rows = np.flatnonzero(only[:, 0])[:NAMED]
    return [(int(row), start + bit) for row in rows for bit in range(CHUNK) if int(only[row, 0]) >> bit & 1][:NAMED]
