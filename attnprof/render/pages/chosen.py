"""What a paper shows of a view: which series, which panels, at which n; refused where it could not be read."""

from __future__ import annotations

import math
from collections.abc import Sequence

from attnprof.errors import AttnprofError, unknown
from attnprof.render.claims.choice import WITHIN, choice
from attnprof.render.pages.view import CURVES, CurveKind, PageView, curves_of
from attnprof.render.series import Series
from attnprof.units import format_length
from attnprof.words import Pass

MOST_SERIES = 9
MOST_PANELS = 4
PANELS: dict[str, str] = {
    "time": "t",
    "relative": "rel",
    "tokens": "tok",
    "achieved": "ach",
    "peak_share": "pk",
    "forward": "fwd",
    "backward": "bwd",
    "flops": "f",
    "memory": "p",
    "saved": "s",
    "state": "st",
    "reads": "r",
    "energy": "e",
}
USUAL: tuple[str, ...] = ("time", "relative", "memory")
USUAL_DECODE: tuple[str, ...] = ("reads", "state", "time")


def panels_named(names: Sequence[str]) -> tuple[str, ...]:
    """Panels by name, each once. Raises `AttnprofError` for an unknown one, or for more than fit beside each other."""
    found = tuple(dict.fromkeys(names))
    for name in found:
        if name not in PANELS:
            raise unknown("panel", name, PANELS)
    if len(found) > MOST_PANELS:
        raise AttnprofError(
            f"{len(found)} panels are asked for, but a figure holds {MOST_PANELS}", hint="write two papers, or choose"
        )
    return found


def panels_of(view: PageView, names: Sequence[str]) -> list[CurveKind]:
    """The panels of a view: those named, else the usual ones of its pass, as far as any series has a value there."""
    there = {kind.key for kind, _ in curves_of(view)}
    wanted = names or (USUAL_DECODE if view.conditions.pass_ is Pass.DECODE else USUAL)
    kinds = [kind for name in wanted for kind in CURVES if kind.key == PANELS[name] and kind.key in there]
    if not kinds and not names:
        kinds = [kind for kind in CURVES if kind.key in there and kind.key in ("f", "p", "st")]
    return kinds


def length_of(view: PageView, asked: int | None) -> int:
    """The n of tables and numbers. Raises `AttnprofError` where no baseline has a value at the n that is asked for."""
    if asked is None:
        return view.usual or max(view.lengths)
    if asked not in view.lengths:
        here = ", ".join(format_length(n) for n in view.lengths)
        raise AttnprofError(f"these runs hold nothing at n = {format_length(asked)}", hint=f"lengths: {here}")
    at = view.standing(view.metrics[0], asked)
    if at.baseline is None and view.group.baselines:
        raise AttnprofError(
            f"no baseline has a value at n = {format_length(asked)} ({view.conditions.pass_})",
            hint=f"--at {format_length(view.usual or asked)}, where one has",
        )
    return asked


def series_of(view: PageView, names: Sequence[str], n: int) -> list[Series]:
    """The series named, else the baselines, what a choice tells of, and the front. At most nine, baselines first.

    Raises `AttnprofError` for more than nine names, and for one that no record of these runs has.
    """
    if len(names) > MOST_SERIES:
        raise AttnprofError(
            f"{len(names)} schemes are named, but a figure stays legible with {MOST_SERIES}", hint="name at most nine"
        )
    by_name = {s.label: s for s in view.group.series}
    if names:
        return [s for s in view.group.series if s.label in names or s.target in names]
    at = view.standing(view.metrics[0], n)
    told = [s.label for s in view.group.baselines]
    for within in WITHIN:
        facts = choice(at, within).facts
        told += [c.series.label for c in (facts["best"], facts["wider"], facts["cheaper"]) if c is not None]
    best = -math.inf
    for c in at.rest:
        if c.cost.state.valued and c.sight.keys is not None and not c.sight.through and c.sight.keys > best:
            best = c.sight.keys
            told.append(c.series.label)
    told += [c.series.label for c in at.rest if c.cost.state.valued]
    kept = list(dict.fromkeys(told))[:MOST_SERIES]
    return [s for label, s in by_name.items() if label in kept]


def refuse_unknown(views: Sequence[PageView], names: Sequence[str]) -> None:
    """Raise `AttnprofError` for a name that no series of these views has."""
    known = {name for v in views for s in v.group.series for name in (s.label, s.target)}
    for name in names:
        if name not in known:
            raise unknown("scheme of these runs", name, sorted(known))
