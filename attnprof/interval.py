"""Samples as a number with its bounds: the median and its 95% confidence interval."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from attnprof.errors import AttnprofError

CONFIDENCE = 0.95
FEWEST_SAMPLES = 6  # the fewest whose range covers the median with 95%: 1 - 2^(1-6)


@dataclass(frozen=True, slots=True)
class Interval:
    """A measured quantity, in seconds: what a run typically takes, with the bounds of its 95% confidence interval.

    `rounds` holds the samples, those of one fresh process each together: `stats.over_rounds` makes them an interval.
    Where it is not `bounded`, as of one sample, `low` and `high` are the ends of the samples and bound nothing.
    """

    median: float
    low: float
    high: float
    rounds: tuple[tuple[float, ...], ...] = ()
    bounded: bool = True

    @classmethod
    def of(cls, samples: Iterable[float]) -> Self:
        """One round: the median, its distribution-free 95% interval by binomial order statistics (Conover 1999, 3.2).

        With fewer than 6 samples it is their range, which covers less; one sample has none. Raises where there
        is no sample.
        """
        raw = tuple(samples)
        if not raw:
            raise AttnprofError("an interval needs at least one sample", hint="measure the point first")
        ordered, rank = sorted(raw), _rank(len(raw))
        return cls(statistics.median(ordered), ordered[rank - 1], ordered[-rank], (raw,), len(raw) > 1)

    @property
    def samples(self) -> tuple[float, ...]:
        """The samples of all rounds, in order."""
        return tuple(itertools.chain.from_iterable(self.rounds))

    @property
    def half_width(self) -> float:
        """Half the interval's width, relative to the median; infinite where there is no interval."""
        if not self.bounded:
            return math.inf
        return (self.high - self.low) / 2 / self.median if self.median > 0 else 0.0


def _rank(count: int) -> int:
    rank = 1
    while 2 * (rank + 1) <= count and 1 - 2 * _tail(count, rank) >= CONFIDENCE:
        rank += 1
    return rank


def _tail(count: int, most: int) -> float:
    return float(sum(math.comb(count, i) for i in range(most + 1)) / 2**count)
