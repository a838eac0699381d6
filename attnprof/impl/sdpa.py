"""Dense attention by torch's own fused kernel (Dao et al. 2022, algorithm 1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attnprof.contracts import Implementation, SchemeFacts, Spec
from attnprof.shapes import Shape
from attnprof.words import DeviceName

if TYPE_CHECKING:
    from torch import nn


class SDPA(Implementation):
    """The flash backend is pinned: it fails rather than falls back to another."""

    name = "sdpa"
    any_length = True

    def can(self, scheme: SchemeFacts, shape: Shape, device: DeviceName) -> str | None:
        if scheme.maths != "dense":
            return "it computes dense attention"
        return None if shape.d_v == shape.d else "torch's fused kernel takes values as wide as keys"

    def build(self, spec: Spec) -> nn.Module:
        from attnprof.layers.fused_softmax import FusedCore

        return FusedCore(spec)


IMPLEMENTATION = SDPA()
