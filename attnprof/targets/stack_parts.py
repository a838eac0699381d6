"""The parts of a stack as targets of their own, each kind to be counted once: the rest of a block, the two ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from attnprof.contracts import Target
from attnprof.errors import Unsupported
from attnprof.pattern import Card, Pattern
from attnprof.shapes import Shape
from attnprof.targets.catalog import OWN_CARD
from attnprof.targets.scheme import CatalogTarget, torch_dtype
from attnprof.targets.stack_layers import StackLayer
from attnprof.units import Value
from attnprof.words import FfnKind, Maths

if TYPE_CHECKING:
    from torch import Tensor, nn

WIDENING = 4
PART_CARD = replace(OWN_CARD, title="part of a stack", maths=Maths.OWN)


@dataclass(frozen=True, eq=False)
class PartTarget:
    """A module `x [b, n, D]` to `[b, n, D]` that belongs to a stack."""

    name: str
    make: Callable[[Shape], nn.Module]
    card: Card = PART_CARD
    parameters: Mapping[str, Value] = field(default_factory=dict)
    layers: int = 1
    impl: None = None

    def renamed(self, name: str) -> PartTarget:
        """The same under another name."""
        return replace(self, name=name)

    def resolve(self, n: int) -> Mapping[str, Value]:
        """It has no parameters."""
        return {}

    def build(self, shape: Shape) -> nn.Module:
        """The module."""
        return self.make(shape).to(torch_dtype(shape))

    def inputs(self, shape: Shape) -> tuple[Tensor, ...]:
        """Random rows."""
        import torch

        return (torch.randn(shape.batch, shape.n, shape.dim, dtype=torch_dtype(shape)),)

    def reference(self, shape: Shape) -> nn.Module:
        """There is none of a part; raises `Unsupported`."""
        raise Unsupported(f"{self.name} is a part, without a reference of its own")

    def pattern(self, shape: Shape) -> Pattern | None:
        """It has no edges."""
        return None

    def flops_paper(self, shape: Shape) -> int | None:
        """It has no formula."""
        return None


def rest_of_block(layer: StackLayer) -> Target:
    """The block of a layer without its mixer: norms, residuals, FFN."""

    def make(shape: Shape) -> nn.Module:
        from attnprof.layers.stack_modules import NoMixing, StackBlock

        return StackBlock(shape.dim, None if layer.mixer is None else NoMixing(), feed_forward(layer, shape))

    return PartTarget(f"the block of {layer.label}", make)


def feed_forward(layer: StackLayer, shape: Shape) -> nn.Module | None:
    """The FFN of a layer's block; None where it has none."""
    from attnprof.layers.block import PositionwiseFFN
    from attnprof.layers.feed_forwards import ExpertFFN, GatedFFN

    ffn = layer.ffn
    if ffn.kind is FfnKind.NONE:
        return None
    if ffn.kind is FfnKind.OWN:
        own = layer.mixer.feed_forward(shape) if isinstance(layer.mixer, CatalogTarget) else None
        return own() if own else PositionwiseFFN(shape.dim, WIDENING * shape.dim)
    if ffn.kind is FfnKind.PLAIN:
        return PositionwiseFFN(shape.dim, WIDENING * shape.dim if ffn.width is None else ffn.width)
    assert ffn.width is not None
    if ffn.kind is FfnKind.GLU:
        return GatedFFN(shape.dim, ffn.width)
    return ExpertFFN(shape.dim, ffn.width, ffn.experts, ffn.active, ffn.shared)


def facts_of_ffn(layer: StackLayer, shape: Shape) -> dict[str, Value]:
    """What a table says of an FFN: its kind and sizes; `switch` where a scheme's own blocks have experts."""
    ffn, kind = layer.ffn, layer.ffn.kind
    if kind is FfnKind.OWN:
        own = isinstance(layer.mixer, CatalogTarget) and layer.mixer.feed_forward(shape)
        if own:
            return {"kind": "switch"}
        kind = FfnKind.PLAIN
    if kind is FfnKind.NONE:
        return {"kind": kind.value}
    width = WIDENING * shape.dim if ffn.width is None else ffn.width
    sizes = {"experts": ffn.experts, "active": ffn.active, "shared": ffn.shared} if kind is FfnKind.MOE else {}
    return {"kind": kind.value, "width": width, **sizes}


def borrowing(layer: StackLayer) -> Target:
    """The mixer of a layer that reads another's keys and values, which are held for it as if they lived before."""

    def make(shape: Shape) -> nn.Module:
        from attnprof.layers.shared_kv import BorrowedAttention

        assert isinstance(layer.mixer, CatalogTarget)
        (made,) = layer.mixer.attention_layers(shape)
        return BorrowedAttention(shape, made)

    return PartTarget(f"{layer.label}, keys and values of another layer", make)


def ends(before: bool, vocab: int | None) -> Target:
    """What stands before the first block (positions), or after the last one (norm and logits)."""

    def make(shape: Shape) -> nn.Module:
        from attnprof.layers.block import Positions
        from attnprof.layers.stack_modules import LayerSequence, head_of

        if before:
            return LayerSequence(shape.n, (), Positions(shape.n, shape.dim))
        assert vocab is not None
        return LayerSequence(shape.n, (), head=head_of(shape, vocab))

    return PartTarget("positions" if before else "head", make)
