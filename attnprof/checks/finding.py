"""What a check found: what is amiss, where, on what evidence, how serious it is, and what to try."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from attnprof.errors import AttnprofError
from attnprof.records import JsonObject
from attnprof.words import Severity

UNSOUND = 4


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found: `kind` names it for a program (`future_leak`), `what` says it in a sentence.

    `where` is the path of the part and the line of its file, as far as they are known; `evidence` the numbers that
    show it; `advice` what to try.
    """

    kind: str
    severity: Severity
    what: str
    where: str = ""
    evidence: JsonObject = field(default_factory=dict)
    advice: str = ""

    def to_json(self) -> dict[str, object]:
        """The plain form."""
        return {
            "kind": self.kind,
            "severity": self.severity.value,
            "what": self.what,
            "where": self.where or None,
            "evidence": dict(self.evidence),
            "advice": self.advice or None,
        }

    def __str__(self) -> str:
        at = f" in {self.where}" if self.where else ""
        return f"{self.kind}{at}: {self.what}"


@dataclass(frozen=True, slots=True)
class Examination:
    """What all checks of a target found. `passed` names those that found nothing, `skipped` says why one did not look.

    `verdict` says what was seen of causality, and at how many positions; `call` how the target was called.
    """

    target: str
    n: int
    verdict: str
    findings: tuple[Finding, ...]
    passed: tuple[str, ...]
    skipped: Mapping[str, str]
    call: str | None = None

    @property
    def defects(self) -> tuple[Finding, ...]:
        """The findings that fail it."""
        return tuple(finding for finding in self.findings if finding.severity is Severity.DEFECT)

    def kinds(self) -> frozenset[str]:
        """The kinds of its findings."""
        return frozenset(finding.kind for finding in self.findings)

    def to_json(self) -> dict[str, object]:
        """The plain form."""
        return {
            "target": self.target,
            "n": self.n,
            "call": self.call,
            "sound": not self.defects,
            "causality": self.verdict,
            "findings": [finding.to_json() for finding in self.findings],
            "passed": list(self.passed),
            "skipped": dict(self.skipped),
        }


class Unsound(AttnprofError):
    """A check that found a defect: `.findings` are all that it found, `.examination` holds the rest."""

    def __init__(self, examination: Examination) -> None:
        told = "; ".join(map(str, examination.defects))
        advice = "; ".join(dict.fromkeys(finding.advice for finding in examination.defects if finding.advice))
        super().__init__(f"{examination.target}: {told}", hint=advice, exit_code=UNSOUND)
        self.examination = examination
        self.findings = examination.findings
