"""One series against another at one length: a ratio with its interval, and who needs less, if that is sure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from attnprof.render.claims.evidence import Evidence, PointState, worst

ALIKE = 1.01  # values without an interval that are within a percent are told as equal
GUESSED = 1.5  # a predicted ratio must be this far from 1 before a side is taken
SideTaken = Literal["less", "more", "even"]


@dataclass(frozen=True, slots=True)
class Versus:
    """`ratio` is theirs over ours, above 1 where ours needs less. `low` and `high` bound it; a prediction has none.

    It is `unbounded` where a side was measured too few times to say what another run would take: no side is taken.
    """

    ours: Evidence
    theirs: Evidence
    ratio: float
    low: float | None
    high: float | None
    outcome: SideTaken
    unbounded: bool = False

    @property
    def state(self) -> PointState:
        """The less sure of the two."""
        return worst((self.ours, self.theirs))


def versus(ours: Evidence, theirs: Evidence) -> Versus | None:
    """The comparison of two points of one quantity and n; None where either has no value.

    The interval is [theirs.low / ours.high, theirs.high / ours.low]: no wider one can be had of two intervals, so a
    side that it leaves no doubt of is a side.
    """
    if not ours.value or not theirs.value:
        return None
    ratio = theirs.value / ours.value
    if ours.unbounded or theirs.unbounded:
        return Versus(ours, theirs, ratio, None, None, "even", unbounded=True)
    a, b = ours.bounds, theirs.bounds
    if a is None or b is None:
        outcome: SideTaken = "less" if ratio >= GUESSED else "more" if ratio <= 1 / GUESSED else "even"
        return Versus(ours, theirs, ratio, None, None, outcome)
    low, high = b[0] / a[1], b[1] / a[0]
    exact = all(p.low is None and p.high is None for p in (ours, theirs))
    edge = ALIKE if exact else 1.0
    outcome = "less" if low > edge else "more" if high < 1 / edge else "even"
    return Versus(ours, theirs, ratio, None if exact else low, None if exact else high, outcome)
