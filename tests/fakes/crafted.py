"""Records crafted for one kind of error each, and what is said of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from attnprof.interval import Interval
from attnprof.quantities import FLOPS, PEAK, READS, STATE, WALL
from attnprof.records import Cost, Measured, Point, Record
from attnprof.render.claims import findings, told
from attnprof.render.claims.choice import choice, evidences, standing
from attnprof.render.claims.crossings import crossing
from attnprof.render.claims.evidence import evidence
from attnprof.render.claims.sight import graphs_of
from attnprof.render.series import groups
from attnprof.shapes import Shape
from attnprof.stats import over_rounds

NS = (1024, 2048, 4096, 8192)
KNOWN = (WALL, FLOPS, PEAK, STATE, READS)


def point(
    target: str,
    n: int,
    *,
    wall: tuple[float, float, float] | float | None = None,
    flops: int | None = None,
    useful: int | None = None,
    peak: int = 1000,
    status: str = "ok",
    flags: tuple[str, ...] = (),
    reason: str = "",
    impl: str | None = "eager",
    pass_: str = "forward",
    state: int | None = None,
    reads: int | None = None,
    causal: bool = False,
    opinion: Mapping[str, int | None] | None = None,
    reasons: Mapping[str, str] | None = None,
) -> Record:
    """One record; a bare time has an interval of a percent."""
    spread = (wall, wall * 0.99, wall * 1.01) if isinstance(wall, float) else wall
    measured = Measured(wall_s=Interval(*spread), peak_bytes=peak) if spread else None
    cost = Cost(
        flops_executed=flops or n * n,
        flops_core_executed=flops or n * n,
        flops_core_useful=useful,
        peak_bytes=peak,
        state_bytes=state,
        decode_read_bytes=reads,
        second_opinion=opinion or {},
    )
    where = Point(target, Shape(n=n, causal=causal), pass_, "cpu", impl)  # type: ignore[arg-type]
    why = dict(reasons or {}) | ({"measured": reason} if reason else {})
    return Record(
        "cost", f"{target}{n}{pass_}{causal}{impl}", where, cost, measured, status=status, reasons=why, flags=flags
    )  # type: ignore[arg-type]


def pattern(target: str, layers: int | None, n: int = 4096, causal: bool = False, **metrics: Any) -> Record:
    """A graph record."""
    why = {} if layers else {"layers_to_full": "never: 10 of 20 allowed pairs are out of reach at any depth"}
    held = {"layers_to_full": layers, "reasons": why, "exact": {"layers_to_full": "exact"}, **metrics}
    return Record("graph", f"g{target}{causal}", Point(target, Shape(n=n, causal=causal)), metrics=held)  # type: ignore[arg-type]


def edges(n: int, keys: int) -> int:
    """The useful core FLOPs of a forward whose queries read so many keys: 8 heads of 64."""
    return 8 * 2 * (64 + 64) * n * keys


def said(records: list[Record], n: int, metric: Any = WALL, within: int | None = 2) -> str:
    """The first claim of these records at n."""
    (group,) = groups(records)
    known = evidences(group, KNOWN)
    return told.plain(told.said(choice(standing(group, metric, n, graphs_of(records), known), within)))


def texts(records: list[Record]) -> list[str]:
    return [told.plain(told.said(c)) for c in findings(groups(records))]


FLASH = [point("flash", n, wall=n / 1000.0, impl="sdpa", useful=edges(n, n)) for n in NS]
CLOSE = [point("near", n, wall=n / 3000.0, impl="gather", peak=4000, useful=edges(n, 64)) for n in NS]


def sampled(target: str, *rounds: tuple[float, ...]) -> Record:
    """A point at 1k with the samples of its rounds."""
    made = point(target, 1024, wall=1.0)
    return replace(made, measured=Measured(wall_s=over_rounds(rounds)))


POSITIVE = st.floats(1e-3, 1e3)
INTERVAL = st.tuples(POSITIVE, st.floats(1.0, 3.0), st.floats(1.0, 3.0)).map(lambda t: (t[0], t[0] / t[1], t[0] * t[2]))


def cross(ours: list[Record], theirs: list[Record]) -> str:
    (group,) = groups([*ours, *theirs])
    a, b = (next(s for s in group.series if s.target == r[0].point.target) for r in (ours, theirs))
    return told.word("cheaper_from", crossing(evidence(a, WALL), evidence(b, WALL)))
