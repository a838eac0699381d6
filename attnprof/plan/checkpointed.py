"""A target whose blocks keep nothing but their input for backward, and run again when it comes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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

    def forward(self, *inputs: Any) -> Any:
        return checkpoint(self.block, *inputs, use_reentrant=False)


@dataclass(frozen=True, eq=False)
class Checkpointed:
    """Another target, with every block of its stack checkpointed (Chen et al. 2016, one segment a block)."""

    inner: Target

    @classmethod
    def of(cls, inner: Target) -> Target:
        """The checkpointed form of a target, as a target: all but `build` is the inner one's."""
        wrapped: Any = cls(inner)
        return wrapped

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def build(self, shape: Shape) -> nn.Module:
        """The target's module, its blocks wrapped. Raises `AttnprofError` where it is not a stack of blocks."""
        if shape.level is not Level.BLOCK:
            raise AttnprofError("checkpointing wraps blocks", hint="add --level block")
        module = self.inner.build(shape)
        if isinstance(module, nn.Sequential):
            return nn.Sequential(*(Again(block) for block in module))
        return Again(module)
