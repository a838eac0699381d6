"""Numbers computed from records: intervals, growth exponents, crossovers, comparisons.

Intervals are of the median and distribution-free: timings are skewed, so nothing is assumed of their shape, and no
sample is dropped. Exponents are least-squares slopes of log value on log n.
"""

from __future__ import annotations

import enum
import itertools
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from attnprof.errors import AttnprofError
from attnprof.records import CONFIDENCE, Interval, Point, Record, coverage
from attnprof.words import RecordKind, Status, Timing

Ordinate = float | Interval
FEWEST_RANKED = 4  # the fewest samples on each side with which a rank sum can reach 95%
BROKEN = (Status.OOM, Status.TIMEOUT, Status.FAILED)
ALIKE = ("target", "impl", "n", "pass")


class Verdict(enum.Enum):
    """How b stands to a."""

    SAME = "SAME"
    FASTER = "FASTER"
    SLOWER = "SLOWER"
    AMBIGUOUS = "AMBIGUOUS"


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


@dataclass(frozen=True, slots=True)
class Crossover:
    """The length from which one curve stays below another: interpolated `n`, and where it lies for sure.

    Up to `low` the first curve is not below; from `high` on it is, even at the worst of both intervals (None where the
    intervals still overlap at the longest length).
    """

    n: float
    low: int
    high: int | None


@dataclass(frozen=True, slots=True)
class Compared:
    """One point in two runs: its intervals in seconds, the ratio b/a with its interval, and the verdict."""

    point: Point
    a: Interval
    b: Interval
    ratio: Interval
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs point by point; `broken`: measured before, ends badly now; `unmatched`: left over in a and b."""

    rows: tuple[Compared, ...]
    broken: tuple[Record, ...]
    refused: tuple[str, ...]
    unmatched: tuple[int, int]

    @property
    def regressed(self) -> bool:
        """Whether a point is slower for sure, or no longer ends well."""
        return bool(self.broken) or any(row.verdict is Verdict.SLOWER for row in self.rows)


def interval(samples: Iterable[float]) -> Interval:
    """The median and its 95% interval (`Interval.of`)."""
    return Interval.of(samples)


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


def crossover(ns: Sequence[int], a: Sequence[Ordinate | None], b: Sequence[Ordinate | None]) -> Crossover | None:
    """The length from which curve a stays below curve b, interpolated on log-log axes between neighbours.

    None where a is not below at the longest common length, or is below from the shortest on: nothing is extrapolated.
    """
    points = sorted(
        ((n, u, v) for n, u, v in zip(ns, a, b, strict=True) if u is not None and v is not None),
        key=lambda point: point[0],
    )
    above = [i for i, (_, u, v) in enumerate(points) if _median(u) >= _median(v)]
    if not above or above[-1] == len(points) - 1:
        return None
    last = above[-1]
    surely = len(points)
    while surely > 0 and _high(points[surely - 1][1]) < _low(points[surely - 1][2]):
        surely -= 1
    maybe = next((i for i in range(last, -1, -1) if _low(points[i][1]) >= _high(points[i][2])), 0)
    high = points[surely][0] if surely < len(points) else None
    return Crossover(_meeting(points[last], points[last + 1]), points[maybe][0], high)


def ratio(a: Interval, b: Interval) -> Interval:
    """The ratio b/a of the medians, with the 95% interval of the factor that takes the one set of samples to the other.

    The interval is that of a shift of the logarithms by the rank-sum test (Hollander, Wolfe and Chicken 2014, section
    4.3). With fewer than 4 samples on a side it is that of the two intervals divided, which is wider.
    """
    middle = b.median / a.median
    if min(len(a.samples), len(b.samples)) < FEWEST_RANKED or min(*a.samples, *b.samples) <= 0:
        return Interval(middle, b.low / a.high, b.high / a.low)
    shifts = np.sort(np.subtract.outer(np.log(b.samples), np.log(a.samples)), axis=None)
    rank = _rank_sum_rank(*sorted((len(a.samples), len(b.samples))))
    return Interval(middle, math.exp(shifts[rank - 1]), math.exp(shifts[-rank]))


def compare(a: Interval, b: Interval, tolerance: float = 0.05) -> Verdict:
    """How b stands to a, by the interval of `ratio`.

    SAME: all of it lies within a factor `1 + tolerance` of 1. FASTER, SLOWER: all of it lies beyond. Else AMBIGUOUS.
    """
    if min(a.low, b.low) <= 0:
        return Verdict.AMBIGUOUS
    found, edge = ratio(a, b), math.log1p(tolerance)
    low, high = math.log(found.low), math.log(found.high)
    if low > edge:
        return Verdict.SLOWER
    if high < -edge:
        return Verdict.FASTER
    return Verdict.SAME if max(-low, high) <= edge else Verdict.AMBIGUOUS


def compare_runs(
    before: Iterable[Record], after: Iterable[Record], metric: Timing = Timing.WALL_S, tolerance: float = 0.05
) -> Comparison:
    """Compare two runs on the points that are the same in every condition, by a measured interval such as `wall_s`.

    Points of one target, implementation, length and pass that differ in anything else are refused, not compared. Raises
    `AttnprofError` where nothing is left, and for a metric that is none.
    """
    metric = Timing(metric)
    olds, news = _measured_points(before), _measured_points(after)
    common = [key for key in olds if key in news]
    rows, broken = [], []
    for key in common:
        a, b = _interval_of(olds[key], metric), _interval_of(news[key], metric)
        if a is not None and b is not None:
            rows.append(Compared(news[key].point, a, b, ratio(a, b), compare(a, b, tolerance)))
        elif a is not None and news[key].status in BROKEN:
            broken.append(news[key])
    refused = _refusals(olds, news)
    if not rows and not broken:
        why = "; ".join(refused) or "no point is measured in both"
        raise AttnprofError(f"nothing to compare: {why}", hint="sweep both with the same targets, lengths and options")
    unmatched = (sum(key not in news for key in olds), sum(key not in olds for key in news))
    return Comparison(tuple(rows), tuple(broken), refused, unmatched)


def _measured_points(records: Iterable[Record]) -> dict[str, Record]:
    return {json.dumps(r.point.to_json(), sort_keys=True): r for r in records if r.kind is RecordKind.COST}


def _interval_of(record: Record, metric: Timing) -> Interval | None:
    return None if record.measured is None else getattr(record.measured, metric)


def _refusals(olds: Mapping[str, Record], news: Mapping[str, Record]) -> tuple[str, ...]:
    """One sentence for each target and way of differing, of points whose like in the other run has other conditions."""
    found: dict[str, None] = {}
    others = [record.point.to_json() for key, record in news.items() if key not in olds]
    for mine in (record.point.to_json() for key, record in olds.items() if key not in news):
        for other in others:
            if all(mine[name] == other[name] for name in ALIKE):
                fields = [name for name in mine if mine[name] != other[name]]
                parts = (f"{name} {mine[name]} and {other[name]}" for name in fields)
                found[f"{mine['target']} ({mine['pass']}) differs in {', '.join(parts)}"] = None
    return tuple(found)


@cache
def _rank_sum_rank(few: int, many: int) -> int:
    """The largest order statistic of all pairwise differences, from either end, whose interval covers 95%; at least 1.

    By the exact distribution of the rank sum up to 400 pairs, beyond that by its normal limit.
    """
    pairs = few * many
    if pairs > 400:
        return max(1, math.floor(pairs / 2 - 1.959964 * math.sqrt(pairs * (few + many + 1) / 12)))
    ways = [1] + [0] * pairs
    for i in range(1, few + 1):
        for u in range(pairs, many + i - 1, -1):
            ways[u] -= ways[u - many - i]
        for u in range(i, pairs + 1):
            ways[u] += ways[u - i]
    below = list(itertools.accumulate(ways))
    allowed = (1 - CONFIDENCE) / 2 * below[-1]
    return max(1, sum(count <= allowed for count in below))


def _logs(ns: Sequence[int], values: Sequence[float | None]) -> tuple[np.ndarray, np.ndarray]:
    points = [(n, v) for n, v in zip(ns, values, strict=True) if v is not None and v > 0]
    pairs = np.log(np.array(points, dtype=np.float64).reshape(-1, 2))
    return pairs[:, 0], pairs[:, 1]


def _t_quantile(freedom: int) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + CONFIDENCE) / 2))


def _meeting(before: tuple[int, Ordinate, Ordinate], after: tuple[int, Ordinate, Ordinate]) -> float:
    gap0 = math.log(_median(before[1]) / _median(before[2]))
    gap1 = math.log(_median(after[1]) / _median(after[2]))
    share = gap0 / (gap0 - gap1)
    return math.exp(math.log(before[0]) + share * math.log(after[0] / before[0]))


def _median(value: Ordinate) -> float:
    return value.median if isinstance(value, Interval) else value


def _low(value: Ordinate) -> float:
    return value.low if isinstance(value, Interval) else value


def _high(value: Ordinate) -> float:
    return value.high if isinstance(value, Interval) else value


__all__ = [
    "Compared",
    "Comparison",
    "Crossover",
    "Exponent",
    "LocalExponent",
    "Verdict",
    "compare",
    "compare_runs",
    "coverage",
    "crossover",
    "exponent",
    "interval",
    "local_exponents",
    "ratio",
]
