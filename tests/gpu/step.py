"""What the first half hour on a device is made of: steps with a limit each, in a process each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

DONE, PARTIAL, FAILED, TIMEOUT, UNFIT = "done", "partial", "failed", "timeout", "unfit"
SMALL = "cpu"  # a dry run: small sizes, on the host


@dataclass(frozen=True, slots=True)
class Step:
    """A piece of work: the module whose `work(sheet)` does it, and the seconds it may take, in earnest and dry."""

    name: str
    module: str
    shows: str
    limit_s: float
    dry_limit_s: float = 300.0  # some ten seconds where nothing else runs

    def seconds(self, device: str) -> float:
        """The limit on this device."""
        return self.dry_limit_s if device == SMALL else self.limit_s

    def folder(self, out: Path) -> Path:
        """Where its rows, its log and its result lie."""
        return out / self.name


STEPS: tuple[Step, ...] = (
    Step("1-pytest", "tests.gpu.hardware_tests", "what the fakes of tests/unit/measure stand for", 180),
    Step("2-truth", "tests.gpu.truth", "predicted bytes against the allocator, medians against other timers", 300),
    Step("3-sweep", "tests.gpu.main_job", "the whole catalogue, as a user runs it", 570),
    Step("4-implementations", "tests.gpu.implementations", "ways to compute the same scheme, in turns", 300),
    Step("5-decode", "tests.gpu.decoding", "state and bytes of a token against its time", 120),
)
