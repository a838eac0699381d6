"""Two runs, point by point: which differ, how far, and of which nothing can be said and why.

A verdict rests on rounds, each a process of its own, by Welch's t on the logarithms of their medians. Many points are
asked about at once, so that of the smallest p-values as many are believed as Holm's procedure lets through at 5%.
"""

from __future__ import annotations

import enum
import json
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from attnprof.errors import AttnprofError
from attnprof.flags import FLAGS
from attnprof.interval import CONFIDENCE, Interval
from attnprof.records import Point, Record
from attnprof.stats import ROUNDS, Noise, noise, over_rounds
from attnprof.words import RecordKind, Status, Timing

BROKEN = (Status.OOM, Status.TIMEOUT, Status.FAILED, Status.KILLED)
ALIKE = ("target", "impl", "n", "pass")
UNFIT = {flag: meaning.phrase for flag, meaning in FLAGS.items() if meaning.unfit}
LEAST = 0.05  # the factor, less 1, within which two runs are the same however quiet the machine


class Verdict(enum.Enum):
    """How b stands to a."""

    SAME = "SAME"
    FASTER = "FASTER"
    SLOWER = "SLOWER"
    AMBIGUOUS = "AMBIGUOUS"


@dataclass(frozen=True, slots=True)
class Compared:
    """One point in two runs: its intervals in seconds, the ratio b/a with its interval, the verdict.

    `p` is the probability of a ratio as far beyond the tolerance if it lay at its edge, before any correction; None
    where nothing can be tested. `why` says why a verdict is AMBIGUOUS. `flags` are those of both sides.
    """

    point: Point
    a: Interval
    b: Interval
    ratio: Interval
    verdict: Verdict
    p: float | None = None
    why: str = ""
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs point by point; `broken`: measured before, ends badly now; `unmatched`: left over in a and b.

    `tolerance` is the factor, less 1, that was let pass, and `noise` what two processes of the same code differ by.
    """

    rows: tuple[Compared, ...]
    broken: tuple[Record, ...]
    refused: tuple[str, ...]
    unmatched: tuple[int, int]
    tolerance: float
    noise: Noise

    @property
    def regressed(self) -> bool:
        """Whether a point is slower for sure, or no longer ends well."""
        return bool(self.broken) or any(row.verdict is Verdict.SLOWER for row in self.rows)

    @property
    def typical(self) -> Interval | None:
        """The geometric mean of the ratios of points that are fit to be judged, with its 95% interval over them."""
        fit = [row.ratio.median for row in self.rows if not unfit(row.flags)]
        if not fit:
            return None
        held = over_rounds((value,) for value in fit)
        middle = math.exp(statistics.fmean(map(math.log, fit)))
        return Interval(middle, min(held.low, middle), max(held.high, middle))


def compare_runs(
    before: Iterable[Record],
    after: Iterable[Record],
    metric: Timing = Timing.WALL_S,
    tolerance: float | None = None,
    drift: float = 0.0,
) -> Comparison:
    """Compare two runs on the points that are the same in every condition, by a measured interval such as `wall_s`.

    `tolerance`: the factor, less 1, that counts as the same. None takes 5%, or what the two runs show that the same
    code differs by if that is more, and adds `drift`, by which the machine itself differs between them. Points of one
    target, implementation, length and pass that differ in anything else are refused, not compared. Raises
    `AttnprofError` where nothing is left, and for a metric that is none.
    """
    metric = Timing(metric)
    olds, news = _measured_points(before), _measured_points(after)
    common = [key for key in olds if key in news]
    pairs = [(olds[key], news[key], _of(olds[key], metric), _of(news[key], metric)) for key in common]
    both = [(a, b, x, y) for a, b, x, y in pairs if x is not None and y is not None]
    broken = [b for _, b, x, y in pairs if x is not None and y is None and b.status in BROKEN]
    heard = noise(found for _, _, x, y in both for found in (x, y))
    if tolerance is None:
        tolerance = max(LEAST, heard.factor(ROUNDS, ROUNDS)) + drift
    rows = [_row(a, b, heard.settled(x), heard.settled(y), tolerance) for a, b, x, y in both]
    refused = _refusals(olds, news)
    if not rows and not broken:
        why = "; ".join(refused) or "no point is measured in both"
        raise AttnprofError(f"nothing to compare: {why}", hint="sweep both with the same targets, lengths and options")
    unmatched = (sum(key not in news for key in olds), sum(key not in olds for key in news))
    return Comparison(tuple(_corrected(rows)), tuple(broken), refused, unmatched, tolerance, heard)


def ratio(a: Interval, b: Interval) -> Interval:
    """The ratio b/a of the medians with its 95% interval: Welch's where both have rounds, else that of the quotient."""
    middle, found = b.median / a.median, _welch(a, b)
    if found is None:
        return Interval(middle, b.low / a.high, b.high / a.low, bounded=a.bounded and b.bounded)
    shift, error, freedom = found
    half = _t_quantile(freedom) * error
    return Interval(middle, min(math.exp(shift - half), middle), max(math.exp(shift + half), middle))


def unfit(flags: Iterable[str]) -> list[str]:
    """Why measurements with these flags carry no verdict, in words; empty where they do."""
    return [why for flag, why in UNFIT.items() if flag in flags]


def _row(old: Record, new: Record, a: Interval, b: Interval, tolerance: float) -> Compared:
    """One point before the correction for many: its verdict is that of the point alone."""
    flags = tuple(dict.fromkeys((*old.flags, *new.flags)))
    if min(a.low, b.low) <= 0:
        nothing = Interval(math.nan, math.nan, math.nan)
        return Compared(new.point, a, b, nothing, Verdict.AMBIGUOUS, why="it took no time that could be read")
    found = ratio(a, b)
    why = "; ".join([*unfit(flags), *_few(a, b)])
    row = Compared(new.point, a, b, found, Verdict.AMBIGUOUS, why=why, flags=flags)
    if why:
        return row
    edge = math.log1p(tolerance)
    p = _beyond(a, b, edge)
    alone = 1 - CONFIDENCE
    if p is not None and p <= alone:
        return replace(row, p=p, verdict=Verdict.SLOWER if found.median > 1 else Verdict.FASTER)
    if -edge <= math.log(found.low) and math.log(found.high) <= edge:
        return replace(row, p=p, verdict=Verdict.SAME)
    return replace(row, p=p, why=f"its interval lies across the tolerance of {tolerance:.0%}")


def _few(a: Interval, b: Interval) -> list[str]:
    least = min(len(a.rounds), len(b.rounds))
    return [] if least >= ROUNDS else [f"{least or 'no'} round{'' if least == 1 else 's'} of the {ROUNDS} it takes"]


def _corrected(rows: Sequence[Compared]) -> list[Compared]:
    """Verdicts that Holm's step-down procedure lets stand (Holm 1979); the others are AMBIGUOUS."""
    tested = sorted((row.p, i) for i, row in enumerate(rows) if row.p is not None)
    found, stands = list(rows), True
    for rank, (p, i) in enumerate(tested):
        stands = stands and p * (len(tested) - rank) <= 1 - CONFIDENCE
        if not stands and found[i].verdict in (Verdict.SLOWER, Verdict.FASTER):
            why = f"not sure among {len(tested)} points (p = {p:.2g} alone)"
            found[i] = replace(found[i], verdict=Verdict.AMBIGUOUS, why=why)
    return found


def _welch(a: Interval, b: Interval) -> tuple[float, float, float] | None:
    """The shift of the logarithm from a to b, its standard error, and Satterthwaite's degrees of freedom."""
    logs = [[math.log(statistics.median(r)) for r in side.rounds if r and statistics.median(r) > 0] for side in (a, b)]
    if min(map(len, logs)) < ROUNDS:
        return None
    parts = [statistics.variance(side) / len(side) for side in logs]
    shift = statistics.fmean(logs[1]) - statistics.fmean(logs[0])
    total = sum(parts)
    if total <= 0:
        return shift, 0.0, math.inf
    return shift, math.sqrt(total), total**2 / sum(p**2 / (len(s) - 1) for p, s in zip(parts, logs, strict=True))


def _beyond(a: Interval, b: Interval, edge: float) -> float | None:
    """The two-sided p-value of a shift beyond the edge of what is the same."""
    found = _welch(a, b)
    if found is None:
        return None
    shift, error, freedom = found
    over = abs(shift) - edge
    if error == 0:
        return 0.0 if over > 0 else 1.0
    from scipy.special import stdtr

    return min(1.0, 2 * float(stdtr(min(freedom, 1e6), -over / error)))


def _t_quantile(freedom: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(min(freedom, 1e6), (1 + CONFIDENCE) / 2))


def _measured_points(records: Iterable[Record]) -> dict[str, Record]:
    return {json.dumps(r.point.to_json(), sort_keys=True): r for r in records if r.kind is RecordKind.COST}


def _of(record: Record, metric: Timing) -> Interval | None:
    if record.measured is None:
        return None
    times: dict[Timing, Interval | None] = {
        Timing.WALL_S: record.measured.wall_s,
        Timing.FORWARD_S: record.measured.forward_s,
        Timing.BACKWARD_S: record.measured.backward_s,
    }
    return times[metric]


def _refusals(olds: Mapping[str, Record], news: Mapping[str, Record]) -> tuple[str, ...]:
    """One sentence for each target and way of differing, of points whose like in the other run has other conditions."""
    found: dict[str, None] = {}
    others: dict[tuple[object, ...], list[dict[str, object]]] = {}
    for key, record in news.items():
        if key not in olds:
            other = record.point.to_json()
            others.setdefault(tuple(other[name] for name in ALIKE), []).append(other)
    for mine in (record.point.to_json() for key, record in olds.items() if key not in news):
        for other in others.get(tuple(mine[name] for name in ALIKE), []):
            fields = [name for name in mine if mine[name] != other[name]]
            parts = (f"{name} {mine[name]} and {other[name]}" for name in fields)
            found[f"{mine['target']} ({mine['pass']}) differs in {', '.join(parts)}"] = None
    return tuple(found)
