"""Where a scheme becomes cheaper than a baseline, among points that may be compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from attnprof.quantities import Quantity, Reading
from attnprof.records import Interval
from attnprof.render.series import Group, Series
from attnprof.stats import Crossover, crossover

CrossingKind = Literal["always", "from", "never", "until", "same"]
SAME, NEAR, DEARER = 1.01, 1.05, 1.5


@dataclass(frozen=True, slots=True)
class CrossingVerdict:
    """One scheme against one baseline in one metric.

    `always` and `never`: cheaper at every or at no common length. `from`: cheaper from the crossing on, `until`: up to
    it. `same`: within one percent at every length, five where measured. `gain` is baseline over scheme at `longest`.
    """

    label: str
    baseline: str
    metric: Quantity
    kind: CrossingKind
    gain: float
    shortest: int
    longest: int
    crossing: Crossover | None = None


def verdict(series: Series, baseline: Series, metric: Quantity) -> CrossingVerdict | None:
    """The comparison at the lengths that both have; None where there are not two of them."""
    ours, theirs = series.readings(metric), baseline.readings(metric)
    ns = sorted(ours.keys() & theirs.keys())
    if len(ns) < 2:
        return None
    kind, crossing = _kind(ns, [ours[n] for n in ns], [theirs[n] for n in ns])
    gain = theirs[ns[-1]].value / ours[ns[-1]].value
    return CrossingVerdict(series.label, baseline.label, metric, kind, gain, ns[0], ns[-1], crossing)


def against(group: Group, metric: Quantity) -> Series | None:
    """The baseline worth beating: the cheapest at the longest length that the baselines share.

    Where they are within five percent there, the fused one: noise must not choose the baseline.
    """
    usable = [(s, r) for s in group.baselines if len(r := s.readings(metric)) > 1]
    if not usable:
        return None
    shared = set.intersection(*(set(r) for _, r in usable))
    if not shared:
        return usable[0][0]
    n = max(shared)
    best = min(r[n].value for _, r in usable)
    return [s for s, r in usable if r[n].value <= best * NEAR][-1]


def opponents(group: Group, metric: Quantity) -> tuple[Series, ...]:
    """The baseline worth beating, then the other where it costs clearly more: beating that one says less."""
    best = against(group, metric)
    if best is None:
        return ()
    ours = best.values(metric)
    others = [s for s in group.baselines if s is not best]
    return (best, *(s for s in others if _dearer(s.values(metric), ours)))


def _dearer(theirs: Mapping[int, float], ours: Mapping[int, float]) -> bool:
    shared = theirs.keys() & ours.keys()
    return bool(shared) and theirs[max(shared)] > DEARER * ours[max(shared)]


def verdicts(group: Group, metric: Quantity, baseline: Series) -> list[CrossingVerdict]:
    """Every other scheme of the group against one baseline."""
    others = [s for s in group.series if not s.baseline]
    return [v for s in others if (v := verdict(s, baseline, metric)) is not None]


def _kind(
    ns: Sequence[int], ours: Sequence[Reading], theirs: Sequence[Reading]
) -> tuple[CrossingKind, Crossover | None]:
    ratios = [b.value / a.value for a, b in zip(ours, theirs, strict=True)]
    measured = any(r.low is not None for r in (*ours, *theirs))
    same = NEAR if measured else SAME
    if all(1 / same <= r <= same for r in ratios):
        return "same", None
    a, b = [_interval(r) for r in ours], [_interval(r) for r in theirs]
    if (found := crossover(ns, a, b)) is not None:
        return "from", found
    if (found := crossover(ns, b, a)) is not None:
        return "until", found
    return ("always" if ratios[-1] > 1 else "never"), None


def _interval(reading: Reading) -> Interval | float:
    if reading.low is None or reading.high is None:
        return reading.value
    return Interval(reading.value, reading.low, reading.high)
