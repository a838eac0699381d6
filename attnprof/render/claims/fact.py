"""The claim: a kind of sentence with all that it must carry wherever it is printed."""

from __future__ import annotations

from dataclasses import dataclass, field

from attnprof.records import JsonObject
from attnprof.render.claims.evidence import Evidence, PointState, doubts, worst
from attnprof.render.series import Conditions


@dataclass(frozen=True, slots=True)
class Claim:
    """What a macro of `claims.j2` words: `kind` names it, `facts` fill it.

    `points` are all that it rests on: from them follow certainty, flags and implementations, which the wording takes
    from here. `conditions` hold for every one of them.
    """

    kind: str
    facts: JsonObject
    points: tuple[Evidence, ...] = ()
    conditions: Conditions | None = None
    lengths: tuple[int, ...] = field(default=())

    @property
    def certainty(self) -> PointState:
        """The least sure of its points."""
        return worst(self.points)

    @property
    def flags(self) -> tuple[str, ...]:
        """The flags on its points."""
        return doubts(self.points)

    @property
    def impls(self) -> tuple[str, ...]:
        """The implementations whose numbers it tells, each once."""
        return tuple(dict.fromkeys(p.impl for p in self.points))
