"""Every pattern with an arithmetic rule by torch's FlexAttention: fused, its BlockMask made from slices."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attnprof.contracts import Spec
from attnprof.impl._edges import OfEdges
from attnprof.words import DeviceName, DType

if TYPE_CHECKING:
    from torch import nn


class Flex(OfEdges):
    """A kernel is compiled for every device, so that one on a CPU says nothing of another; there it has no backward."""

    name = "flex"
    held_in = DType.FLOAT32
    portable = False

    def core(self, spec: Spec) -> nn.Module:
        from attnprof.layers.flex_kernel import FlexCore

        return FlexCore(spec)

    def tiles(self, spec: Spec) -> str:
        from attnprof.layers.flex_kernel import BLOCK

        return f"{BLOCK} x {BLOCK}"

    def trains(self, device: DeviceName) -> bool:
        return device is not DeviceName.CPU


IMPLEMENTATION = Flex()
