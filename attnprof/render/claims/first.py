"""What a page says first, as lines of a terminal: the same claims, in the same words."""

from __future__ import annotations

from collections.abc import Iterable

from attnprof.quantities import ENERGY, FLOPS, PEAK, READS, SAVED, STATE, WALL, Quantity
from attnprof.records import Record
from attnprof.render.claims import told
from attnprof.render.claims.choice import choice, evidences, standing
from attnprof.render.claims.sight import graphs_of
from attnprof.render.claims.unmeasured import flagged
from attnprof.render.series import groups, latest
from attnprof.words import Pass

WITHIN = 2
ORDER: tuple[Quantity, ...] = (WALL, FLOPS, PEAK)
ORDER_DECODE: tuple[Quantity, ...] = (READS, STATE, WALL, FLOPS)


def first_claims(records: Iterable[Record]) -> list[str]:
    """For each pass and mask the choice at the longest n with a baseline; then how many points carry a noise flag."""
    kept = latest(records)
    found, graphs = groups(kept), graphs_of(kept)
    lines = []
    for group in found:
        known = evidences(group, (WALL, FLOPS, PEAK, SAVED, STATE, READS, ENERGY))
        order = ORDER_DECODE if group.conditions.pass_ is Pass.DECODE else ORDER
        for metric in order:
            exact = [n for s in group.baselines for n, p in known[s.label, metric.key].items() if p.bounds is not None]
            if exact:
                claim = choice(standing(group, metric, max(exact), graphs, known), WITHIN)
                lines.append(told.plain(told.said(claim)))
                break
    doubt = flagged(found)
    return [*lines, *([told.plain(told.said(doubt))] if doubt else [])]
