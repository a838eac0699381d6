"""What a page can be asked about one set of comparable points: its quantities, and who stands where at each n."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from attnprof.quantities import BACKWARD, ENERGY, FLOPS, FORWARD, PEAK, READS, SAVED, STATE, WALL, Quantity
from attnprof.records import JsonObject
from attnprof.render.claims.choice import Evidences, Ranking, baseline_of, evidences, standing
from attnprof.render.claims.evidence import ByLength, Evidence, PointState
from attnprof.render.claims.sight import Graphs
from attnprof.render.claims.versus import versus
from attnprof.render.pages.peaks import UNKNOWN, MachinePeak, peak_of
from attnprof.render.series import Conditions, Group, Series
from attnprof.words import Pass


def offered(pass_: Pass) -> tuple[Quantity, ...]:
    """The quantities by which points of a pass may be ranked: never a scratch quantity of a decode step."""
    if pass_ is Pass.DECODE:
        return (READS, STATE, WALL, FLOPS, ENERGY)
    return (WALL, FLOPS, PEAK, SAVED, ENERGY) if pass_ is Pass.TRAIN else (WALL, FLOPS, PEAK, ENERGY)


@dataclass(frozen=True, eq=False)
class PageView:
    """One group with everything that is known of it."""

    group: Group
    graphs: Graphs
    peak: MachinePeak = UNKNOWN

    @property
    def conditions(self) -> Conditions:
        """What all its points share."""
        return self.group.conditions

    @cached_property
    def known(self) -> Evidences:
        """What each series says of each quantity."""
        return evidences(self.group, (WALL, FORWARD, BACKWARD, FLOPS, PEAK, SAVED, STATE, READS, ENERGY))

    def points(self, series: Series, metric: Quantity) -> ByLength:
        """What a series says of a quantity, by n."""
        return self.known[series.label, metric.key]

    def valued(self, metric: Quantity) -> bool:
        """Whether any point has a value of this quantity."""
        return any(p.state.valued for s in self.group.series for p in self.points(s, metric).values())

    @cached_property
    def metrics(self) -> tuple[Quantity, ...]:
        """The quantities to rank by that have a value somewhere, what the pass is about first."""
        return tuple(m for m in offered(self.conditions.pass_) if self.valued(m))

    @cached_property
    def lengths(self) -> tuple[int, ...]:
        """The lengths of its points."""
        return tuple(self.group.lengths)

    def standing(self, metric: Quantity, n: int) -> Ranking:
        """Who stands where at n."""
        key = (metric.key, n)
        if key not in self._standings:
            self._standings[key] = standing(self.group, metric, n, self.graphs, self.known)
        return self._standings[key]

    @cached_property
    def _standings(self) -> dict[tuple[str, int], Ranking]:
        return {}

    @cached_property
    def tips(self) -> dict[tuple[str, int], str]:
        """What the boards of this view have worded already."""
        return {}

    @cached_property
    def usual(self) -> int | None:
        """The longest n at which a baseline was counted or measured; without one the longest with a value."""
        if not self.metrics:
            return None
        metric = self.metrics[0]
        exact = [n for s in self.group.baselines for n, p in self.points(s, metric).items() if p.bounds is not None]
        some = [n for s in self.group.series for n, p in self.points(s, metric).items() if p.state.valued]
        return max(exact, default=max(some, default=None))


def opening(views: Sequence[PageView]) -> PageView | None:
    """The view to open with: the one whose baseline was measured or counted at the longest n, the first of these."""
    usable = [v for v in views if v.usual is not None]
    return max(usable, key=lambda v: (v.usual or 0, -views.index(v)), default=None)


@dataclass(frozen=True, slots=True)
class CurveKind:
    """A kind of curve that a reader may ask for: its key in the address, title, unit, and the points of a series.

    A derived one follows from others: a page holds their values, not its.
    """

    key: str
    title: str
    unit: str
    points: Callable[[PageView, Series], ByLength]
    passes: tuple[Pass, ...] = tuple(Pass)
    derived: bool = False


def _plain(metric: Quantity) -> Callable[[PageView, Series], ByLength]:
    return lambda view, series: view.points(series, metric)


def _relative(view: PageView, series: Series) -> ByLength:
    """The cost over the baseline's at the same n, with the interval of both."""
    metric = view.metrics[0]
    found: dict[int, Evidence] = {}
    for n, at in view.points(series, metric).items():
        base = baseline_of(view.group, metric, view.known, n)
        against = versus(at, view.points(base, metric)[n]) if base is not None else None
        if against is None:
            found[n] = dataclasses.replace(at, value=None, low=None, high=None, state=_without(at.state))
            continue
        low, high = (None if x is None else 1 / x for x in (against.high, against.low))
        found[n] = dataclasses.replace(at, value=1 / against.ratio, low=low, high=high, state=against.state)
    return found


def _per_second(amount: Callable[[Series], Mapping[int, float]]) -> Callable[[PageView, Series], ByLength]:
    """A rate: the amount of a point over its time."""

    def made(view: PageView, series: Series) -> ByLength:
        work, found = amount(series), dict[int, Evidence]()
        for n, at in view.points(series, WALL).items():
            if at.value and n in work:
                low, high = (None if b is None else work[n] / b for b in (at.high, at.low))
                found[n] = dataclasses.replace(at, value=work[n] / at.value, low=low, high=high)
            else:
                found[n] = dataclasses.replace(at, value=None, low=None, high=None, state=_without(at.state))
        return found

    return made


def _share(view: PageView, series: Series) -> ByLength:
    """Achieved FLOP/s as a share of the machine's measured peak."""
    peak = view.peak.flops_per_s
    found = _per_second(lambda s: s.values(FLOPS))(view, series)
    if peak is None:
        return {
            n: dataclasses.replace(at, value=None, low=None, high=None, state=_without(at.state))
            for n, at in found.items()
        }
    return {n: _scaled(at, 1 / peak) for n, at in found.items()}


def _scaled(at: Evidence, factor: float) -> Evidence:
    value, low, high = (None if v is None else v * factor for v in (at.value, at.low, at.high))
    return dataclasses.replace(at, value=value, low=low, high=high)


def _without(state: PointState) -> PointState:
    return PointState.ABSENT if state.valued else state


def _tokens(series: Series) -> Mapping[int, float]:
    """The tokens of a run: of one step in decoding."""
    shapes = [(r.point.shape, r.point.pass_) for r in series.records]
    return {s.n: float(s.batch * (1 if pass_ is Pass.DECODE else s.n)) for s, pass_ in shapes}


CURVES: tuple[CurveKind, ...] = (
    CurveKind("t", "time a layer", "s", _plain(WALL)),
    CurveKind("rel", "cost over the baseline's", "times", _relative, derived=True),
    CurveKind("tok", "tokens a second", "tokens/s", _per_second(_tokens), derived=True),
    CurveKind("ach", "achieved FLOP/s", "flop/s", _per_second(lambda s: s.values(FLOPS)), derived=True),
    CurveKind("pk", "share of the measured peak", "share", _share, derived=True),
    CurveKind("fwd", "time of the forward", "s", _plain(FORWARD), (Pass.TRAIN,)),
    CurveKind("bwd", "time of the backward", "s", _plain(BACKWARD), (Pass.TRAIN,)),
    CurveKind("f", "executed FLOPs", "flops", _plain(FLOPS)),
    CurveKind("p", "peak memory", "bytes", _plain(PEAK), tuple(p for p in Pass if p is not Pass.DECODE)),
    CurveKind("s", "saved for backward", "bytes", _plain(SAVED), (Pass.TRAIN,)),
    CurveKind("st", "state per sequence", "bytes", _plain(STATE)),
    CurveKind("r", "bytes read a step", "bytes", _plain(READS), (Pass.DECODE,)),
    CurveKind("e", "energy", "j", _plain(ENERGY)),
)


def curves_of(view: PageView) -> list[tuple[CurveKind, dict[str, ByLength]]]:
    """The kinds of curves that have a value here, what the pass is about first, with the points of each series."""
    found = []
    first = ("r", "st") if view.conditions.pass_ is Pass.DECODE else ()  # what decoding is about
    for kind in sorted(CURVES, key=lambda kind: kind.key not in first):
        if view.conditions.pass_ in kind.passes and view.metrics:
            by_label = {s.label: kind.points(view, s) for s in view.group.series}
            if any(p.state.valued for points in by_label.values() for p in points.values()):
                found.append((kind, by_label))
    return found


def views(found: Iterable[Group], graphs: Graphs, header: JsonObject | None = None) -> list[PageView]:
    """A view for each group; `header` is that of the run, which holds the machine's measured peak."""
    return [PageView(g, graphs, UNKNOWN if header is None else peak_of(header, g.conditions)) for g in found]
