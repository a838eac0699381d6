"""Sums over the operators of one pass, and the certificate that they rest on."""

from __future__ import annotations

from dataclasses import dataclass, field

from attnprof.counting.registry import OperatorWork
from attnprof.records import Certificate, JsonDict, OpCount


@dataclass(slots=True)
class OperatorLine:
    """One operator: calls and FLOPs so far."""

    calls: int = 0
    flops: int = 0
    reason: str = ""


@dataclass(slots=True)
class OperatorTally:
    """What the operators of a pass add up to. Sums may be symbolic."""

    flops: int = 0
    core: int = 0
    selection: int = 0
    exp_ops: int = 0
    arith_ops: int = 0
    select_ops: int = 0
    moved_bytes: int = 0
    counted: dict[str, OperatorLine] = field(default_factory=dict)
    uncounted: dict[str, OperatorLine] = field(default_factory=dict)
    backends: dict[str, None] = field(default_factory=dict)
    tiles: dict[str, None] = field(default_factory=dict)
    conventions: dict[str, None] = field(default_factory=dict)
    unseen: dict[str, None] = field(default_factory=dict)
    modules: JsonDict = field(default_factory=dict)

    def product(
        self, name: str, work: OperatorWork, core: bool, part: str | None = None, *, selection: bool = False
    ) -> None:
        """An operator with a formula: in the core, of a selection or neither, and in which part of the module."""
        if part is not None:
            self.modules[part] = self.modules.get(part, 0) + work.flops
        line = self.counted.setdefault(name, OperatorLine())
        line.calls += 1
        line.flops += work.flops
        self.flops += work.flops
        if core:
            self.core += work.flops
        if selection:
            self.selection += work.flops
        if work.backend:
            self.backends[work.backend] = None
        if work.tile:
            self.tiles[work.tile] = None
        if work.convention:
            self.conventions[work.convention] = None
        self.other(work)

    def other(self, work: OperatorWork) -> None:
        """Operations that are not FLOPs."""
        self.exp_ops += work.exp_ops
        self.arith_ops += work.arith_ops
        self.select_ops += work.select_ops

    def unknown(self, name: str, reason: str = "") -> None:
        """An operator of weight that nothing is known of, and why."""
        self.uncounted.setdefault(name, OperatorLine(reason=reason)).calls += 1

    def why_uncounted(self) -> str:
        """The operators that nothing is known of, each with its reason where there is one to tell."""
        lines = self.uncounted.items()
        return ", ".join(f"{name} ({line.reason})" if line.reason else name for name, line in lines)

    def certificate(self, recomputes: bool) -> Certificate:
        """The operators behind the total, the kernels and tiles assumed, the convention."""
        return Certificate(
            counted=tuple(OpCount(name, line.calls, line.flops) for name, line in sorted(self.counted.items())),
            uncounted=tuple(OpCount(name, line.calls) for name, line in sorted(self.uncounted.items())),
            backend=", ".join(self.backends) or "eager",
            tile="; ".join(self.tiles) or None,
            unknown_workspaces=tuple(self.unseen),
            convention=" ".join(self._conventions(recomputes)),
        )

    def _conventions(self, recomputes: bool) -> list[str]:
        iterated = [f"{convention}." for convention in self.conventions]
        return [CONVENTION, *iterated, *(["Recomputation in backward is included."] if recomputes else [])]


CONVENTION = "Multiply-add = 2 FLOPs; FFT 5 N log2 N; softmax: 1 exponential and 4 other operations an element."
