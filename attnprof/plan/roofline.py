"""How long a device must take at least: by arithmetic, and by the bytes that must move. A bound, no measurement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from attnprof.words import Pass


class DevicePeaks(NamedTuple):
    """The two roofs of a device: as published, or measured."""

    device: str
    flops_per_s: float
    bytes_per_s: float


@dataclass(frozen=True, slots=True)
class Roofline:
    """Bounds of one pass on a device with the given peaks.

    `unfused`: every operator reads its operands from memory and writes its result. `fused`: only what goes in and out
    of the whole pass moves. Intensity is FLOPs per byte; a device's ridge is where its two roofs meet.
    """

    device: str
    flops: int
    unfused_bytes: int
    fused_bytes: int
    flops_per_s: float
    bytes_per_s: float

    @property
    def intensity_unfused(self) -> float:
        """FLOPs per byte that moves without fusion."""
        return self.flops / self.unfused_bytes

    @property
    def intensity_fused(self) -> float:
        """FLOPs per byte that has to move in any case."""
        return self.flops / self.fused_bytes

    @property
    def ridge(self) -> float:
        """The intensity from which on the arithmetic limits."""
        return self.flops_per_s / self.bytes_per_s

    @property
    def arithmetic_s(self) -> float:
        """Seconds that the FLOPs take at peak."""
        return self.flops / self.flops_per_s

    @property
    def bound_s(self) -> float:
        """The lower bound: arithmetic at peak, or the bytes that must move at peak, whichever takes longer."""
        return max(self.arithmetic_s, self.fused_bytes / self.bytes_per_s)

    @property
    def unfused_bound_s(self) -> float:
        """The same if no operator is fused with another."""
        return max(self.arithmetic_s, self.unfused_bytes / self.bytes_per_s)

    @property
    def limited_by(self) -> str:
        """What limits the unfused pass."""
        return "memory" if self.intensity_unfused < self.ridge else "arithmetic"

    def to_json(self) -> dict[str, float | str]:
        """The bounds and what they rest on."""
        return {
            "device": self.device,
            "flops_per_s": self.flops_per_s,
            "bytes_per_s": self.bytes_per_s,
            "moved_bytes_unfused": self.unfused_bytes,
            "moved_bytes_fused": self.fused_bytes,
            "intensity_unfused": self.intensity_unfused,
            "intensity_fused": self.intensity_fused,
            "bound_s_unfused": self.unfused_bound_s,
            "bound_s_fused": self.bound_s,
            "limited_by": self.limited_by,
            "kind": "lower bound, not a measurement",
        }


def must_move(pass_: Pass, parts: Mapping[str, int]) -> int:
    """Bytes that no fusion saves: what goes in and comes out of a pass, from the parts of its waterfall.

    Forward: parameters, buffers and inputs in, a result as large as the inputs out. Train: that twice (the backward
    reads it all again), grad_output in, and the gradients of parameters and inputs out.
    """
    inside = parts["parameters"] + parts["buffers"] + parts["inputs"]
    forward = inside + parts["inputs"]
    if pass_ == Pass.FORWARD:
        return forward
    return forward + inside + parts["grad_output"] + parts["parameters"] + parts["inputs"]
