"""Segments that grow, read ever more sparsely: every level a softmax, mixed by their normalisers."""

from collections import Counter
from itertools import pairwise

import numpy as np

from attnprof.pattern import Card, Explicit, Expr, Param, Slices, Sum, numbers

CARD = Card(
    title="LongNet",
    bib="ding2023longnet",
    survey_class="fixed pattern",
    complexity_ours="O(n): levels shrink geometrically",
    causality=(True, False),
    maths="own",
    rule="some level (w, r): i and j in one segment of w tokens, both at places that are head modulo r; causal: j <= i",
    edges_text="with multiplicity about the sum over levels of n w / r^2; as a set, pairs that some level has",
    paper_n=32768,
    dead_queries="only where the finest dilation is above 1: tokens that a head leaves out of every level",
    notes=(
        "one softmax over a multiset: a pair that two levels have weighs twice, so `edges_sum` counts it twice",
        "only one token in r takes part in a level, another one in each head: a single head leaves gaps",
        "causal, a single head never reaches all of the past, however deep; the heads of a layer together reach most",
    ),
    oracle="dense mask with multiplicities",
)
PARAMS = {
    "segments": Param("2048,4096,8192,16384,32768", "2048,4096,8192,16384,32768 (Ding et al. 2023, section 4.1)"),
    "dilations": Param("1,2,4,6,12", "1,2,4,6,12 (Ding et al. 2023, section 4.1)"),
}
EXAMPLES = (
    {"segments": "8,16,32,64", "dilations": "1,2,4,8"},
    {"segments": "2048,4096,8192,16384,32768", "dilations": "1,2,4,6,12"},
    {"segments": "8,64", "dilations": "2,3"},
)


def resolve(n: int, *, segments: str, dilations: str) -> dict[str, str]:
    """Of the levels whose segment has the whole sequence only the finest stays, cut to n."""
    pairs = zip(numbers(segments), numbers(dilations), strict=True)
    kept: list[tuple[int, int]] = []
    for length, dilation in sorted(pairs):
        kept.append((min(length, n), dilation))
        if length >= n:
            break
    lengths, steps = zip(*kept, strict=True)
    return {"segments": ",".join(map(str, lengths)), "dilations": ",".join(map(str, steps))}


def pattern(n: int, *, causal: bool, head: int, segments: str, dilations: str) -> Expr:
    """A sum of levels, each with the places that this head takes in it."""
    pairs = zip(numbers(segments), numbers(dilations), strict=True)
    return Sum(tuple(_level(n, length, step, head % step, causal) for length, step in pairs))


def _level(n: int, length: int, step: int, offset: int, causal: bool) -> Expr:
    """Every `step`-th place of each segment, from `offset` on, reads all the others."""
    i = np.arange(n)
    i = i[i % length % step == offset]
    first = i // length * length
    return Explicit(Slices.of(n, i, first + offset, np.minimum(first + length, i + 1 if causal else n), step))


def edges(n: int, *, causal: bool, head: int, segments: str, dilations: str) -> int | None:
    """Pairs that some level has, by the set of levels that each place takes part in.

    None where segments are not nested. Where they are, a pair that first shares a segment at level l shares those of
    all levels above. Causal pairs are half of the others and the diagonal.
    """
    levels = list(zip(numbers(segments), numbers(dilations), strict=True))
    if any(b % a and b < n for (a, _), (b, _) in pairwise(levels)):
        return None
    i = np.arange(n)
    member = np.zeros(n, dtype=np.int64)
    for at, (length, step) in enumerate(levels):
        member |= (i % length % step == head % step).astype(np.int64) << at
    total = 0
    for at, (length, _) in enumerate(levels):
        above = member >> at
        total += _shared_pairs(above, i // length)
        if at:
            total -= _shared_pairs(above, i // levels[at - 1][0])
    return (total + int((member > 0).sum())) // 2 if causal else total


def _shared_pairs(member: np.ndarray, segment: np.ndarray) -> int:
    """Pairs of one segment that have a level in common."""
    kinds = Counter(zip(segment.tolist(), member.tolist(), strict=True))
    by_segment: dict[int, list[tuple[int, int]]] = {}
    for (where, levels), count in kinds.items():
        by_segment.setdefault(where, []).append((levels, count))
    return sum(x * y for row in by_segment.values() for a, x in row for b, y in row if a & b)


def flops_paper(n: int, *, dim: int, segments: str, dilations: str) -> int:
    """4 n D times the sum of w / r^2 (Ding et al. 2023, section 2.4)."""
    pairs = zip(numbers(segments), numbers(dilations), strict=True)
    return sum(4 * n * dim * w // r**2 for w, r in pairs)
