"""From which length on a series needs less than a baseline: told only where points that are apart bracket it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from attnprof.render.claims.evidence import Evidence, PointState
from attnprof.render.claims.versus import versus

Vote = Literal["less", "more"]
CrossingShape = Literal["from", "until", "always", "never", "unclear", "unknown"]


@dataclass(frozen=True, slots=True)
class CrossingClaim:
    """`from`: more up to `low`, less from `high` on; `until` the other way. `always`, `never`: wherever it is sure.

    `low` and `high` are the ends of the bracket, or the shortest and longest length that voted. `sure` is false where
    one of the points that decide it is flagged. `unclear`: the votes change sides more than once; `unknown`: none.
    """

    shape: CrossingShape
    low: int | None = None
    high: int | None = None
    sure: bool = True
    points: tuple[Evidence, ...] = ()


def crossing(ours: Mapping[int, Evidence], theirs: Mapping[int, Evidence]) -> CrossingClaim:
    """Where ours falls below theirs. Only lengths whose intervals are apart vote, and no prediction does.

    Where the baseline was cut off, its cost at the last length that has one bounds it from below at every longer one:
    it can show that ours needs less there, never that it needs more.
    """
    votes: list[tuple[int, Vote, bool, tuple[Evidence, ...]]] = []
    last: Evidence | None = None
    for n in sorted(ours):
        other = theirs.get(n)
        if other is not None and other.bounds is not None:
            last = other
            bounded = False
        else:
            other, bounded = last, True
        found = None if other is None or ours[n].bounds is None else versus(ours[n], other)
        if found is None or found.outcome == "even" or (bounded and found.outcome == "more"):
            continue
        flagged = PointState.FLAGGED in (found.ours.state, found.theirs.state)
        votes.append((n, "less" if found.outcome == "less" else "more", flagged, (found.ours, found.theirs)))
    return _verdict(votes)


def _verdict(votes: Sequence[tuple[int, Vote, bool, tuple[Evidence, ...]]]) -> CrossingClaim:
    if not votes:
        return CrossingClaim("unknown")
    sides = [vote for _, vote, _, _ in votes]
    changes = [k for k in range(1, len(sides)) if sides[k] != sides[k - 1]]
    if len(changes) > 1:
        return CrossingClaim("unclear", votes[0][0], votes[-1][0], False, _points(votes))
    if not changes:
        shape: CrossingShape = "always" if sides[0] == "less" else "never"
        deciding = [votes[0], votes[-1]]
        sure = not any(flagged for _, _, flagged, _ in deciding)
        return CrossingClaim(shape, votes[0][0], votes[-1][0], sure, _points(deciding))
    before, after = votes[changes[0] - 1], votes[changes[0]]
    sure = not (before[2] or after[2])
    turned: CrossingShape = "from" if after[1] == "less" else "until"
    return CrossingClaim(turned, before[0], after[0], sure, _points([before, after]))


def _points(votes: Sequence[tuple[int, Vote, bool, tuple[Evidence, ...]]]) -> tuple[Evidence, ...]:
    return tuple(p for *_, points in votes for p in points)
