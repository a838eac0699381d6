"""Causality: everything from a position on is replaced, and no output before it may move."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch

from attnprof.checks.examined import Asked, Examined, Skipped
from attnprof.checks.finding import Finding
from attnprof.checks.leaking_pairs import LeakingPairs, pairs_of
from attnprof.checks.whereabouts import where_it_leaks
from attnprof.words import Severity

FIRST = 12
FEW = 0.25  # future pairs, as a share of the past ones, that look like an oversight rather than a bidirectional scheme


@dataclass
class Prefixes:
    """What a prefix test saw so far: the starts tried, and those at which an earlier output moved, by how much."""

    n: int
    tried: set[int] = field(default_factory=set)
    moved: dict[int, float] = field(default_factory=dict)

    @property
    def causal(self) -> bool:
        """Whether nothing moved."""
        return not self.moved

    @property
    def whole(self) -> bool:
        """Whether every start was tried: each pair of a query and a later key was parted by one."""
        return len(self.tried) == self.n - 1

    def told(self) -> str:
        """The verdict, and how far it goes."""
        tried = f"{'all ' if self.whole else ''}{len(self.tried)} positions tried"
        if self.causal:
            return f"causal: whatever comes from a position on was replaced, and no output before it moved ({tried})"
        first, size = min(self.moved.items())
        return (
            f"not causal: whatever comes from position {first} on was replaced, and an output before it moved by"
            f" {size:.1e} of the largest (so at {len(self.moved)} of {tried})"
        )


def starts(n: int) -> list[int]:
    """Positions to try, the telling ones first: both ends, and the edges of blocks; then all the others."""
    powers = [2**k for k in range(n.bit_length()) if 0 < 2**k < n]
    telling = [1, n - 1, n // 2, *powers[::-1], *(p + 1 for p in powers[::-1]), *(p - 1 for p in powers[::-1])]
    telling = [s for s in dict.fromkeys(telling) if 0 < s < n]
    return list(dict.fromkeys((*telling, *range(n - 1, 0, -1))))


def prefix_verdict(examined: Examined) -> Prefixes:
    """The first verdict, by few positions; remembered. Raises `Skipped` where there is no output a token."""
    found: Prefixes = examined.once("prefixes", lambda: _first(examined))
    return found


def _first(examined: Examined) -> Prefixes:
    asked, n = examined.asked(), examined.shape.n
    if n < 2 or not any(asked.streams):
        raise Skipped("there are no two tokens to tell apart")
    if not asked.gives_tokens:
        raise Skipped(f"its output, {list(asked.run().shape)}, has no axis of {n} tokens")
    found = Prefixes(n)
    _try(examined, asked, found, starts(n)[:FIRST])
    return found


def every_prefix(examined: Examined) -> Prefixes:
    """The verdict by every position, as far as the time goes; remembered."""
    found = prefix_verdict(examined)
    asked, left = examined.asked(), [s for s in starts(found.n) if s not in found.tried]
    deadline = time.monotonic() + examined.ask.budget_s / 2
    while left and found.causal and time.monotonic() < deadline:
        some, left = left[: examined.entries()], left[examined.entries() :]
        _try(examined, asked, found, some)
    return found


def _try(examined: Examined, asked: Asked, found: Prefixes, some: Sequence[int]) -> None:
    base, batch = asked.run(), examined.entries()
    scale = float(base.abs().max())
    for at in range(0, len(some), batch):
        part = some[at : at + batch]
        out = asked.run(asked.replaced(*(slice(start, None) for start in part)))
        for k, start in enumerate(part):
            earlier = (out[k] - base[0])[..., :start, :]
            size = float(earlier.abs().max()) if torch.isfinite(earlier).all() else float("inf")
            found.tried.add(start)
            if size > asked.rounding * scale:
                found.moved[start] = size / max(scale, 1e-30)


def look(examined: Examined) -> Iterator[Finding]:
    """A leak of the future where causality is claimed; a few pairs of the future where it is not."""
    found = every_prefix(examined)
    if found.causal:
        return
    pairs = pairs_of(examined)
    if not pairs.future:
        return
    if not examined.claims_causal and not pairs.share_of_past < FEW:
        return
    severity = Severity.DEFECT if examined.claims_causal else Severity.WARNING
    oversight = "" if examined.claims_causal else ", while it reads far more of the past: is it meant to be causal?"
    yield Finding(
        "future_leak",
        severity,
        f"{pairs.told()}{oversight}",
        where_it_leaks(examined, min(found.moved)),
        _evidence(found, pairs),
        "compare the mask with query >= key, also at the edges of blocks; and nothing may average over the tokens",
    )


def _evidence(found: Prefixes, pairs: LeakingPairs) -> dict[str, object]:
    first, size = min(found.moved.items())
    return {
        "pairs": pairs.future,
        "first_pairs": [f"{query} reads {key}" for query, key in pairs.first],
        "ahead": pairs.ahead,
        "tokens_tried": pairs.tokens,
        "replaced_from": first,
        "moved": size,
    }
