"""What the records say, as claims: each carries its points, conditions, implementation, certainty and doubts."""

from __future__ import annotations

from collections.abc import Sequence

from attnprof.render.claims.fact import Claim
from attnprof.render.claims.fits import fits
from attnprof.render.claims.opinions import opinions
from attnprof.render.claims.unmeasured import flagged, unmeasured
from attnprof.render.claims.waste import hidden, in_name_only
from attnprof.render.series import Group

__all__ = ["Claim", "findings"]


def findings(groups: Sequence[Group]) -> tuple[Claim, ...]:
    """Every claim that is not about one length: memory, work without edges, other counters, flags, what is missing."""
    doubt = flagged(groups)
    makers = (fits, in_name_only, hidden, opinions)
    return (*(claim for make in makers for claim in make(groups)), *([doubt] if doubt else []), *unmeasured(groups))
