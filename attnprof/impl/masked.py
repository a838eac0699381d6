"""Every pattern as torch's fused attention under a dense mask: all n * n pairs, whatever the pattern. The oracle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attnprof.contracts import Spec
from attnprof.impl._edges import OfEdges

if TYPE_CHECKING:
    from torch import nn


class Masked(OfEdges):
    """The mask is a buffer of n * n bytes, of every head where they differ."""

    name = "masked"

    def core(self, spec: Spec) -> nn.Module:
        from attnprof.layers.masked_softmax import MaskedCore

        return MaskedCore(spec)


IMPLEMENTATION = Masked()
