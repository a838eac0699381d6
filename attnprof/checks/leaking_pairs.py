"""Which query reads which later key: one token at a time is replaced, and the outputs before it are looked at."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from attnprof.checks.examined import Examined
from attnprof.pattern.slices import Bools

NAMED = 5
EVENLY = 0.5
SAMPLE = 32  # tokens where causality is not claimed: enough to see whether the future is read as much as the past


@dataclass(frozen=True)
class LeakingPairs:
    """Who moved whom, `[tokens, n]`: whether output i moved with the token `keys[k]`; not every token may be looked at.

    Pairs are (query, key).
    """

    moved: Bools
    keys: tuple[int, ...]

    @property
    def n(self) -> int:
        """Tokens of the target."""
        return int(self.moved.shape[1])

    @property
    def whole(self) -> bool:
        """Whether every token was replaced."""
        return len(self.keys) == self.n

    @property
    def tokens(self) -> int:
        """How many tokens were replaced."""
        return len(self.keys)

    def pairs(self) -> list[tuple[int, int]]:
        """The pairs to the future, by query and key."""
        rows, queries = np.nonzero(self.moved)
        found = [(int(query), self.keys[row]) for row, query in zip(rows, queries, strict=True)]
        return sorted((query, key) for query, key in found if key > query)

    @property
    def future(self) -> int:
        """How many pairs read the future."""
        return len(self.pairs())

    @property
    def first(self) -> list[tuple[int, int]]:
        """The first of them."""
        return self.pairs()[:NAMED]

    @property
    def share_of_past(self) -> float:
        """Pairs to the future for each one to the past, a token itself left out."""
        itself = sum(bool(self.moved[k, j]) for k, j in enumerate(self.keys))
        past = int(self.moved.sum()) - self.future - itself
        return self.future / max(past, 1)

    @property
    def ahead(self) -> list[int]:
        """How far ahead the keys lie, from the nearest to the farthest."""
        offsets = [key - query for query, key in self.pairs()]
        return [min(offsets), max(offsets)]

    def told(self) -> str:
        """What leaks, in a sentence."""
        pairs = self.pairs()
        queries = sorted({query for query, _ in pairs})
        regularly = _regularly(queries) if self.whole else ""
        nearest, farthest = self.ahead
        far = f"{nearest}" if nearest == farthest else f"{nearest} to {farthest}"
        first = ", ".join(f"{query} reads {key}" for query, key in self.first)
        looked = "" if self.whole else f" (of {self.tokens} tokens replaced)"
        return (
            f"{len(pairs):,} pairs read the future{looked}, {far} ahead, in {len(queries):,} of {self.n:,} queries"
            f"{regularly}: {first}"
        )


def _regularly(queries: list[int]) -> str:
    """That the queries follow one another at one distance, as the edges of blocks do."""
    gaps = set(np.diff(queries).tolist())
    if len(queries) > 2 and len(gaps) == 1 and gaps != {1}:
        return f", every {gaps.pop()} from {queries[0]} on"
    return ""


def pairs_of(examined: Examined) -> LeakingPairs:
    """Who moves whom, each token replaced alone, as far as the time goes; remembered."""
    found: LeakingPairs = examined.once("pairs", lambda: _pairs(examined))
    return found


def _pairs(examined: Examined) -> LeakingPairs:
    asked, n, batch = examined.asked(), examined.shape.n, examined.entries()
    base = asked.run()
    scale = float(base.abs().max())
    deadline = time.monotonic() + examined.ask.budget_s * EVENLY
    keys = _spread(n) if examined.claims_causal else _spread(n)[:SAMPLE]
    rows: list[Bools] = []
    for at in range(0, len(keys), batch):
        some = keys[at : at + batch]
        out = asked.run(asked.replaced(*(slice(key, key + 1) for key in some)))
        apart = ~((out - base).abs() <= asked.rounding * scale)  # what is not finite has moved too
        rows += list(apart.movedim(-2, 1).flatten(2).any(dim=2).numpy())
        if time.monotonic() > deadline:
            break
    order = np.argsort(keys[: len(rows)])
    return LeakingPairs(np.array(rows)[order], tuple(int(keys[k]) for k in order))


def _spread(n: int) -> list[int]:
    """All positions in an order of which every beginning is spread over the whole: by their bits reversed."""
    width = max(1, (n - 1).bit_length())
    reversed_bits = (int(f"{k:0{width}b}"[::-1], 2) for k in range(1 << width))
    return [n - 1 - k for k in reversed_bits if k < n]
