"""Growth against a claim: exact counts at many lengths, and the order of their leading term."""

from __future__ import annotations

from collections.abc import Iterator

from attnprof.checks.examined import Examined, Skipped
from attnprof.checks.finding import Finding
from attnprof.closed_forms.growth import GROWTHS, growth, parse_order
from attnprof.words import Severity

FIGURES = {"train_flops": "FLOPs of a training pass", "saved_bytes": "bytes kept for the backward"}


def look(examined: Examined) -> Iterator[Finding]:
    """A defect for each figure that grows faster than claimed."""
    if examined.ask.claim is None:
        raise Skipped("no growth is claimed: --claim 'n*log(n)'")
    claim = parse_order(examined.ask.claim)
    for figure, title in FIGURES.items():
        derived = growth(examined.target, examined.shape, figure)
        if GROWTHS[derived.order] > GROWTHS[claim]:
            yield Finding(
                "grows_faster",
                Severity.DEFECT,
                f"{title} grow as {derived.order}, not as {claim}",
                evidence={"figure": figure, "form": derived.text, "exact": derived.exact},
                advice="attnprof cost TARGET names the operators that a count is made of",
            )
