"""A scheme's own maths, operator by operator, as its file in `schemes/` writes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attnprof.contracts import SchemeFacts
from attnprof.impl._edges import OfEdges
from attnprof.shapes import Shape
from attnprof.words import DeviceName

if TYPE_CHECKING:
    from torch import nn

    from attnprof.contracts import Spec


class Eager(OfEdges):
    """The core that the scheme itself defines."""

    name = "eager"
    any_length = True

    def can(self, scheme: SchemeFacts, shape: Shape, device: DeviceName) -> str | None:
        if self.name in scheme.written:
            return None
        if scheme.of_edges:
            return "it has no code of its own: it is a softmax over the edges of its pattern"
        return "its maths is written for others" if scheme.written else "its maths is not written"

    def core(self, spec: Spec) -> nn.Module:
        raise AssertionError(f"{spec.scheme} was asked for a core that it does not define")


IMPLEMENTATION = Eager()
