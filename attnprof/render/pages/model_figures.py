"""The figures of a model page as display lists: attention's share, cost by part, what is kept, reach, the layers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from attnprof.quantities import FLOPS, STATE
from attnprof.render.claims import of_models, told
from attnprof.render.claims.evidence import Evidence, PointState
from attnprof.render.layout.curves import Curve, PanelBox, bounds, panel, room_for
from attnprof.render.layout.display import Display, Dot
from attnprof.render.layout.layer_strip import layer_strip
from attnprof.render.layout.seen_tokens import SeenCurve, seen_frame
from attnprof.render.layout.stacked_bars import StackedPart, room_of, stacked
from attnprof.render.palette import Style, distinct, hues
from attnprof.render.subjects.model_subject import CostPart, ModelSubject
from attnprof.units import format_count, format_length

FAMILIES_FROM, ENGINES_FROM = 100, 200
FIRST = (PanelBox(820, 400, size=12), PanelBox(358, 300))
STRIPS = (1180.0, 358.0)
REACH = ((660.0, 320.0), (358.0, 260.0))
HUES: Mapping[CostPart, str] = {
    CostPart.PROJECTIONS: "strided",
    CostPart.FFN: "global",
    CostPart.ROUTER: "lowrank",
    CostPart.HEAD: "other",
    CostPart.OTHER: "kernel",
    CostPart.SELECTION: "learned",
    CostPart.RECURRENCE: "recurrence",
    CostPart.CORE: "exact",
}


@dataclasses.dataclass(frozen=True)
class ModelFigures:
    """All figures of some models, at a length `now` that is marked in them."""

    subjects: Sequence[ModelSubject]
    lengths: Sequence[int]
    now: int

    @property
    def families(self) -> dict[str, Style]:
        """The hue of each family, for parts and for kinds of layers."""
        return hues(FAMILIES_FROM)

    @property
    def models(self) -> list[Style]:
        """The hue of each model."""
        return distinct(len(self.subjects))

    @property
    def engines(self) -> dict[str, Style]:
        """The hue of each engine; the exact figure has the ink."""
        names = dict.fromkeys(e.name for s in self.subjects for k in s.kept.values() for e in k.engines)
        return dict(zip(names, distinct(len(names) + 1, ENGINES_FROM)[1:], strict=True))

    @property
    def styles(self) -> list[Style]:
        """Every style that a figure uses."""
        return [*self.models, *self.families.values(), *self.engines.values()]

    def share(self, pass_: str) -> list[Display]:
        """Attention's share against n, all models in one frame, wide and narrow; a diamond where it passes the FFN."""
        curves = []
        for subject, style in zip(self.subjects, self.models, strict=True):
            found = {n: w.mixing / w.total for (p, n), w in subject.work.items() if p == pass_ and w.total}
            points = {n: Evidence(subject.label, "", n, FLOPS, PointState.COUNTED, v) for n, v in sorted(found.items())}
            curves.append(Curve(subject.label, style, points))
        made = []
        for box in FIRST:
            fitted = dataclasses.replace(room_for(curves, box), shares=True)
            bare = panel("", curves, [], self.lengths, "share", [1.0], fitted, self.now)
            marks = [self._passing(bare, curve, s, pass_) for curve, s in zip(curves, self.subjects, strict=True)]
            made.append(self._told(bare, "share", self.subjects, pass_, [m for m in marks if m]))
        return made

    def _passing(self, drawn: Display, curve: Curve, subject: ModelSubject, pass_: str) -> Dot | None:
        """The mark where cores and recurrences pass FFN and router: between two lengths on the line that joins them."""
        found = subject.passing(pass_)
        at = found.at or found.high
        known = sorted(n for n, p in curve.points.items() if p.value)
        if at is None or not known or not known[0] <= at <= known[-1]:
            return None
        after = next(n for n in known if n >= at)
        before = max((n for n in known if n <= at), default=after)
        ends = [(drawn.x.at(n), drawn.y.at(curve.points[n].value or 0.0)) for n in (before, after)]
        x = drawn.x.at(at)
        along = (x - ends[0][0]) / (ends[1][0] - ends[0][0]) if after > before else 0.0
        y = ends[0][1] + along * (ends[1][1] - ends[0][1])
        return Dot(round(x, 1), round(y, 1), 4.6, PointState.COUNTED, curve.style.index, "diamond", at)

    def parts(self, subject: ModelSubject, pass_: str, *, shares: bool) -> Display | None:
        """FLOPs of a token by part, length by length; as shares of their sum, or as they are."""
        at = {n: w for (p, n), w in sorted(subject.work.items()) if p == pass_}
        if not at:
            return None
        parts = [
            StackedPart(p.value, self.families[HUES[p]], [w.parts.get(p, 0) / w.tokens for w in at.values()])
            for p in CostPart
        ]
        box = dataclasses.replace(PanelBox(height=270, head=24), room=room_of(parts, PanelBox().size))
        totals = [format_count(w.total / w.tokens).replace(" ", "") for w in at.values()]
        drawn = stacked(subject.label, parts, list(at), totals, "" if shares else "flops", box)
        return self._told(drawn, "parts", [subject], pass_)

    def kept(self, subject: ModelSubject, values: Sequence[float]) -> Display | None:
        """Bytes of one sequence against n: exact, and as engines allocate, on the scale of `values`."""
        curves = self.kept_curves(subject)
        if not curves:
            return None
        fitted = room_for(curves, PanelBox(height=270))
        drawn = panel(subject.label, curves[1:], curves[:1], self.lengths, "bytes", values, fitted, self.now)
        return self._told(drawn, "kept", [subject], "prefill")

    def kept_curves(self, subject: ModelSubject) -> list[Curve]:
        """The curves of that figure, the exact one first; none where nothing is known."""
        if not subject.kept:
            return []
        made = [Curve("exact", self.families["exact"], _bytes("exact", {n: k.bytes for n, k in subject.kept.items()}))]
        for name, style in self.engines.items():
            found = {n: e.bytes for n, k in subject.kept.items() for e in k.engines if e.name == name and e.bytes}
            if found:
                made.append(Curve(name, style, _bytes(name, found)))
        return made

    def kept_all(self) -> list[Display | None]:
        """One such figure a model, all on one scale."""
        values = bounds([c for s in self.subjects for c in self.kept_curves(s)])
        return [self.kept(s, values) for s in self.subjects]

    def reach(self) -> list[Display]:
        """Tokens seen after each layer, all models in one frame, wide and narrow."""
        curves = [
            SeenCurve(
                s.label if not s.seen_at else f"{s.label}, n = {format_length(s.seen_at)}",
                style,
                [t.tokens if t.tokens or not s.seen_at else s.seen_at for t in s.seen],
                s.sees_all(),
                s.sees_all(directly=True),
            )
            for s, style in zip(self.subjects, self.models, strict=True)
            if s.seen
        ]
        made = [seen_frame(curves, max(self.lengths), *size) for size in REACH] if curves else []
        return [self._told(each, "reach", self.subjects, "prefill") for each in made]

    def strip(self, subject: ModelSubject) -> list[Display]:
        """The layers of a model, wide and narrow."""
        said = told.plain(told.said(of_models.made_of(subject)))
        kinds = [kind.strip for kind in subject.kinds]
        return [layer_strip(f"{subject.label}: {said}", kinds, subject.order, self.families, width) for width in STRIPS]

    def _told(
        self, drawn: Display, name: str, subjects: Sequence[ModelSubject], pass_: str, more: Sequence[Dot] = ()
    ) -> Display:
        """The figure with what it says as its title, for who cannot see it."""
        said = told.plain(told.said(of_models.drawn(name, subjects, pass_, self.now)))
        return dataclasses.replace(drawn, title=said, dots=(*drawn.dots, *more))


def _bytes(label: str, found: Mapping[int, int]) -> dict[int, Evidence]:
    return {n: Evidence(label, "", n, STATE, PointState.COUNTED, value) for n, value in sorted(found.items()) if value}
