"""Numbers computed from records: intervals, the noise of a machine, growth exponents.

The interval of one process is of its median and distribution-free: timings are skewed, and no sample is dropped. That
of several is Student's over the logarithms of their medians: it speaks of the next process, not of the last. Exponents
are least-squares slopes of log value on log n.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from attnprof.interval import CONFIDENCE, Interval

ROUNDS = (
    3  # the fewest processes from which an interval over them says anything useful: t is 12.7 for two, 4.3 for three
)


@dataclass(frozen=True, slots=True)
class Exponent:
    """The slope of log value on log n over `[n_low, n_high]`, bounded at 95% (None from two lengths only)."""

    slope: float
    low: float | None
    high: float | None
    n_low: int
    n_high: int


@dataclass(frozen=True, slots=True)
class LocalExponent:
    """The slope of log value on log n between two neighbouring lengths."""

    n_low: int
    n_high: int
    slope: float


def interval(samples: Iterable[float]) -> Interval:
    """The median and its 95% interval (`Interval.of`)."""
    return Interval.of(samples)


def over_rounds(rounds: Iterable[Iterable[float]]) -> Interval:
    """The median of the rounds' medians, and the 95% interval of what half of all processes exceed.

    Each round holds the samples of one process; what its own samples scatter is part of how far the medians lie apart.
    Three rounds or more: Student's t on the logarithms of their medians (Georges, Buytaert and Eeckhout 2007, section
    3, with processes as the unit of repetition). Fewer: what the rounds' own intervals span, which knows little of
    another process; t is no use there (12.7 times the deviation of two). Raises where there is no sample.
    """
    held = tuple(samples for given in rounds if (samples := tuple(given)))
    each = [Interval.of(samples) for samples in held]
    medians = [found.median for found in each]
    if len(held) < ROUNDS or min(medians) <= 0:
        middle = statistics.median(medians) if medians else Interval.of(()).median
        bounded = len(held) > 1 or each[0].bounded
        return Interval(middle, min(found.low for found in each), max(found.high for found in each), held, bounded)
    logs = [math.log(value) for value in medians]
    half = _t_quantile(len(logs) - 1) * statistics.stdev(logs) / math.sqrt(len(logs))
    middle, low, high = statistics.median(logs), statistics.fmean(logs) - half, statistics.fmean(logs) + half
    return Interval(math.exp(middle), math.exp(min(low, middle)), math.exp(max(high, middle)), held)


@dataclass(frozen=True, slots=True)
class Noise:
    """How far apart two processes of the same code lie on a machine: the standard deviation of the logarithm of a
    round's median, pooled over points, and the degrees of freedom that it rests on; `within` is that of one sample
    around the median of its round."""

    deviation: float
    freedom: int
    within: float = 0.0

    def factor(self, rounds_a: int, rounds_b: int) -> float:
        """The factor, less 1, that two measurements of the same code stay within with 95% confidence."""
        if not self.freedom:
            return 0.0
        return math.expm1(_t_quantile(self.freedom) * self.deviation * math.sqrt(1 / rounds_a + 1 / rounds_b))

    def settled(self, found: Interval) -> Interval:
        """The interval of too few rounds as wide as this noise makes it, and unbounded where no noise is known.

        Its own samples cannot say what another process would take. Pooled noise can, as far as it is alike from point
        to point: Student's t with the pooled degrees of freedom, a round's own scatter on top. It is never narrower
        than what the samples span. With `ROUNDS` rounds or more, or without samples, it stays what it is.
        """
        if not found.rounds or len(found.rounds) >= ROUNDS or found.median <= 0:
            return found
        if not self.freedom:
            return replace(found, bounded=False)
        fewest = min(map(len, found.rounds))
        spread = math.sqrt((self.deviation**2 + self.within**2 / fewest) / len(found.rounds))
        reach = math.exp(_t_quantile(self.freedom) * spread)
        low, high = min(found.low, found.median / reach), max(found.high, found.median * reach)
        return Interval(found.median, low, high, found.rounds)


def noise(intervals: Iterable[Interval]) -> Noise:
    """The noise between processes, of everything that was measured in two rounds or more, and that within them."""
    between, within = _Pooled(), _Pooled()
    for found in intervals:
        rounds = [[math.log(s) for s in samples] for samples in found.rounds if samples and min(samples) > 0]
        between.take([statistics.median(samples) for samples in rounds])
        for samples in rounds:
            within.take(samples)
    return Noise(between.deviation, between.freedom, within.deviation)


@dataclass(slots=True)
class _Pooled:
    """A standard deviation of several groups, each around its own mean."""

    squares: float = 0.0
    freedom: int = 0

    def take(self, group: Sequence[float]) -> None:
        if len(group) > 1:
            self.squares += statistics.variance(group) * (len(group) - 1)
            self.freedom += len(group) - 1

    @property
    def deviation(self) -> float:
        return math.sqrt(self.squares / self.freedom) if self.freedom else 0.0


def exponent(ns: Sequence[int], values: Sequence[float | None]) -> Exponent | None:
    """The growth exponent over all lengths with a value; None with fewer than two. The bounds are Student's t."""
    x, y = _logs(ns, values)
    if len(x) < 2:
        return None
    slope, offset = np.polyfit(x, y, 1)
    low = high = None
    if len(x) > 2:
        residual = y - (slope * x + offset)
        spread = math.sqrt(residual @ residual / (len(x) - 2) / ((x - x.mean()) @ (x - x.mean())))
        half = _t_quantile(len(x) - 2) * spread
        low, high = float(slope - half), float(slope + half)
    return Exponent(float(slope), low, high, round(math.exp(x.min())), round(math.exp(x.max())))


def local_exponents(ns: Sequence[int], values: Sequence[float | None]) -> tuple[LocalExponent, ...]:
    """The exponent between each two neighbouring lengths that have a value, shortest first."""
    points = sorted((n, v) for n, v in zip(ns, values, strict=True) if v is not None and v > 0)
    return tuple(
        LocalExponent(n0, n1, math.log(v1 / v0) / math.log(n1 / n0))
        for (n0, v0), (n1, v1) in itertools.pairwise(points)
    )


def _logs(ns: Sequence[int], values: Sequence[float | None]) -> tuple[np.ndarray, np.ndarray]:
    points = [(n, v) for n, v in zip(ns, values, strict=True) if v is not None and v > 0]
    pairs = np.log(np.array(points, dtype=np.float64).reshape(-1, 2))
    return pairs[:, 0], pairs[:, 1]


def _t_quantile(freedom: int) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + CONFIDENCE) / 2))
