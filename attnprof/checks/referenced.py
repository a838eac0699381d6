"""A scheme against its reference: forward, gradients, sampled rows at n."""

from __future__ import annotations

from collections.abc import Iterator

from attnprof.checks.examined import Examined, Skipped
from attnprof.checks.finding import Finding
from attnprof.measure.gate import check
from attnprof.words import Severity


def look(examined: Examined) -> Iterator[Finding]:
    """A defect for each check of the gate that it fails."""
    if examined.of_user:
        raise Skipped("a module brings no reference to compare it with")
    for name, why in check(examined.target, examined.shape).items():
        yield Finding(
            "differs_from_reference",
            Severity.DEFECT,
            f"it does not compute what its reference does: {why}",
            evidence={"check": name},
            advice="no number of it is worth anything until both agree",
        )
