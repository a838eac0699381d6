"""What the implementations of patterns share: they take any softmax over edges, and maths that is written for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attnprof.contracts import Implementation, SchemeFacts, Spec, Written
from attnprof.shapes import Shape
from attnprof.words import DeviceName

if TYPE_CHECKING:
    from torch import nn


def written(spec: Spec, name: str) -> Written | None:
    """The scheme's own maths for an implementation, where its file brings any."""
    return spec.scheme.written.get(name) if spec.scheme else None


class OfEdges(Implementation):
    """Every pattern that is one softmax over edges; of a scheme with maths of its own, what its file brings for it."""

    def can(self, scheme: SchemeFacts, shape: Shape, device: DeviceName) -> str | None:
        if scheme.of_edges or self.name in scheme.written:
            return None
        return "it executes one softmax over edges, and the scheme's maths is another"

    def build(self, spec: Spec) -> nn.Module:
        own = written(spec, self.name)
        return own.core(spec) if own else self.core(spec)

    def executed(self, spec: Spec) -> int | None:
        own = written(spec, self.name)
        if own is None:
            return self.flops(spec)
        return own.flops_core(spec) if own.flops_core else None

    def core(self, spec: Spec) -> nn.Module:
        """What executes the edges of `spec.edges()`."""
        raise NotImplementedError

    def flops(self, spec: Spec) -> int | None:
        """FLOPs of its forward, where there is a closed form."""
        return None
