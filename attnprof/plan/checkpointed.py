"""A target whose blocks keep nothing but their input for backward, and run again when it comes."""

from __future__ import annotations

import copy

from torch import nn
from torch.utils.checkpoint import checkpoint

from attnprof.contracts import Target
from attnprof.errors import AttnprofError
from attnprof.shapes import Shape
from attnprof.words import Level


class Again(nn.Module):
    """A block that is run again in backward."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, *inputs: object) -> object:
        return checkpoint(self.block, *inputs, use_reentrant=False)


def checkpointed(target: Target) -> Target:
    """The target with every block of its stack checkpointed (Chen et al. 2016, one segment a block).

    What it builds raises `AttnprofError` where it is not a stack of blocks; all else is the target's own.
    """

    def build(shape: Shape) -> nn.Module:
        if shape.level is not Level.BLOCK:
            raise AttnprofError("checkpointing wraps blocks", hint="add --level block")
        module = target.build(shape)
        if isinstance(module, nn.Sequential):
            return nn.Sequential(*(Again(block) for block in module))
        return Again(module)

    twin = copy.copy(target)
    object.__setattr__(twin, "build", build)
    return twin
