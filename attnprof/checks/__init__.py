"""What a careful colleague would find in a target: one file a kind of finding, in the order in which they look."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from attnprof.checks import (
    batch_mixing,
    claimed,
    declared,
    decoded,
    derivatives,
    future,
    hoarded,
    padded,
    precision,
    quadratic,
    ragged,
    referenced,
    repeatable,
)
from attnprof.checks.examined import CheckRequest, Examined, Skipped
from attnprof.checks.finding import Examination, Finding, Unsound
from attnprof.contracts import Target
from attnprof.errors import AttnprofError, Failed
from attnprof.shapes import Shape
from attnprof.usercode import UserCode, own_mistakes
from attnprof.words import Severity

__all__ = ["CHECKS", "CheckRequest", "Examination", "Finding", "Unsound", "examine"]


class Check(NamedTuple):
    """One kind of thing to look at: its name, and what yields findings of a target that is being examined."""

    name: str
    look: Callable[[Examined], Iterator[Finding]]


CHECKS: tuple[Check, ...] = (
    Check("causality", future.look),
    Check("pattern", declared.look),
    Check("reference", referenced.look),
    Check("gradients", derivatives.look),
    Check("batch", batch_mixing.look),
    Check("padding", padded.look),
    Check("lengths", ragged.look),
    Check("precision", precision.look),
    Check("determinism", repeatable.look),
    Check("squares", quadratic.look),
    Check("growth", claimed.look),
    Check("hoards", hoarded.look),
    Check("decoding", decoded.look),
)


def examine(
    target: Target,
    shape: Shape,
    ask: CheckRequest | None = None,
    told: Callable[[str], None] = lambda verdict: None,
) -> Examination:
    """All that the checks find in a target at a shape.

    `told` hears the first verdict on causality, before anything else is looked at. Raises `Failed` where the target
    does not run at all, and `Unsupported` where nothing computes it.
    """
    examined = Examined(target, shape, ask or CheckRequest())
    with own_mistakes(target, shape):
        remembers = list(repeatable.remembered(examined))
        verdict = _verdict(examined, first=True)
    told(verdict)
    findings = list(remembers)
    passed, skipped = [], {}
    for check in CHECKS:
        if remembers:
            skipped[check.name] = "what it gives depends on earlier calls: no two runs can be compared"
            continue
        before = len(findings)
        try:
            with own_mistakes(target, shape):
                findings += check.look(examined)
        except Failed as error:
            what = f"{error.message} (while {check.name} was looked at)"
            findings.append(Finding("raises", Severity.DEFECT, what, advice=error.hint))
        except AttnprofError as error:
            skipped[check.name] = error.message
        else:
            passed += [check.name] if len(findings) == before else []
    call = target.called(shape) if isinstance(target, UserCode) else None
    order = list(Severity)
    findings.sort(key=lambda finding: order.index(finding.severity))
    verdict = _verdict(examined, first=False)
    return Examination(target.name, shape.n, verdict, tuple(findings), tuple(passed), skipped, call)


def _verdict(examined: Examined, *, first: bool) -> str:
    """What is known of causality so far."""
    try:
        return (future.prefix_verdict if first else future.every_prefix)(examined).told()
    except Skipped as error:
        return f"not known: {error.message}"
