"""Block-sparse in plain torch: the keys of every tile of queries are gathered and mixed. Differentiable everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attnprof.contracts import Spec
from attnprof.impl._edges import OfEdges

if TYPE_CHECKING:
    from torch import nn


class Gather(OfEdges):
    """Work and memory follow the tiles of the plan that the pattern is lowered to."""

    name = "gather"

    def core(self, spec: Spec) -> nn.Module:
        from attnprof.layers.gathered import GatherCore

        return GatherCore(spec)

    def flops(self, spec: Spec) -> int:
        from attnprof.layers.gathered import flops_core

        return flops_core(spec)


IMPLEMENTATION = Gather()
