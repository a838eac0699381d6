"""Calling a user's module: the tensors that it is given, where they go, and which of what it returns is its output.

Inputs are made in the module's own order of axes, so that it reads contiguous memory, and seen as `[b, n, D]` or
`[b, h, n, d]` from outside: only views are added.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from attnprof.shapes import Shape
from attnprof.targets.calls import SWAPPED, CallForm, CallInput, InputKind
from attnprof.targets.scheme import torch_dtype
from attnprof.words import Layout

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from attnprof.torch_private import Arguments, Keywords

T = TypeVar("T")

BASE = 10_000.0  # of the angles of a rotation (Su et al. 2021, section 3.2.2)
ROTARY = ("qk_rope_head_dim", "rotary_ndims", "rotary_dim", "rope_dim", "head_dim")


@dataclass(frozen=True)
class ModuleFacts:
    """What a module says of the tensors that it takes: numbers that a rotation turns, ids that it knows."""

    rotary: int | None = None
    vocabulary: int = 2

    @classmethod
    def of(cls, module: nn.Module) -> ModuleFacts:
        """Those of the first of its parts that says anything."""
        from torch import nn

        held = [vars(part) for part in module.modules()]
        rotary = next((own[name] for name in ROTARY for own in held if isinstance(own.get(name), int)), None)
        tables = [part.num_embeddings for part in module.modules() if isinstance(part, nn.Embedding)]
        return cls(rotary, tables[0] if tables else cls.vocabulary)


@dataclass(frozen=True)
class Calling:
    """How a module is called, and which of what it returns counts: the first floating tensor, or `output`."""

    form: CallForm
    output: str | None = None
    facts: ModuleFacts = field(default_factory=ModuleFacts)

    def inputs(self, shape: Shape, layout: Layout) -> tuple[Tensor, ...]:
        """Its inputs at a shape: sizes in our order, memory in the module's."""
        return tuple(self._drawn(it, shape, layout if layout in it.layouts else None) for it in self.form.inputs)

    def _drawn(self, it: CallInput, shape: Shape, layout: Layout | None) -> Tensor:
        import torch

        sizes, dtype = it.sizes(shape), torch_dtype(shape)
        if it.kind is InputKind.IDS:
            return torch.randint(self.facts.vocabulary, sizes)
        if it.kind is InputKind.POSITIONS:
            return torch.arange(sizes[-1]).expand(sizes).contiguous()
        if it.kind is not InputKind.NUMBERS:
            return _rotation(it.kind, sizes, self.facts.rotary or sizes[-1]).to(dtype)
        return drawn(sizes, layout, dtype)

    def run(self, module: nn.Module, tensors: Sequence[Tensor], layout: Layout) -> Tensor:
        """The output of a module without hooks, for inputs in our order, in our order."""
        from attnprof.layers.outputs import first_output

        args, kwargs = self._given(tensors, layout)
        output: Tensor = turned(first_output(self._chosen(module(*args, **kwargs))), layout)
        return output

    def hooked(self, module: nn.Module, layout: Layout) -> nn.Module:
        """The module as one that takes its inputs one after the other, in our order, by hooks where needed."""
        if layout not in SWAPPED and self.form.plain and self.output is None:
            return module
        module.register_forward_pre_hook(lambda _, args, kwargs: self._given(args, layout), with_kwargs=True)
        if layout in SWAPPED or self.output is not None:
            module.register_forward_hook(lambda _, args, out: turned(self._chosen(out), layout))
        return module

    def _given(self, tensors: Sequence[Tensor], layout: Layout) -> tuple[Arguments, Keywords]:
        """The arguments; no gradient goes to a rotation."""
        pairs = zip(self.form.inputs, tensors, strict=True)
        return self.form.applied([_laid(it, tensor, layout) for it, tensor in pairs])

    def _chosen(self, returned: object) -> object:
        from attnprof.layers.outputs import chosen

        return returned if self.output is None else chosen(returned, self.output)


def _laid(it: CallInput, tensor: Tensor, layout: Layout) -> Tensor:
    if layout in it.layouts:
        ours: Tensor = turned(tensor, layout)
        return ours
    return tensor.detach() if it.kind in (InputKind.COSINES, InputKind.SINES) else tensor


def _rotation(kind: InputKind, sizes: Sequence[int], width: int) -> Tensor:
    """The cosines or sines that turn pairs of numbers by position, each angle twice, `[b, n, width]`."""
    import torch

    angles = torch.arange(sizes[-2])[:, None] * BASE ** -(torch.arange(0, width, 2) / width)
    both = torch.cat((angles, angles), dim=-1).expand(*sizes[:-1], -1).contiguous()
    return both.cos() if kind is InputKind.COSINES else both.sin()


def turned(value: Any, layout: Layout | None) -> Any:
    """A tensor in the module's order as one in ours, or the other way: the first of a tuple or list likewise."""
    from torch import Tensor

    if layout is None or layout not in SWAPPED:
        return value
    first, second = SWAPPED[layout]
    if isinstance(value, Tensor):
        return value.transpose(first, second) if value.dim() > second else value
    if isinstance(value, (tuple, list)) and value:
        return type(value)([turned(value[0], layout), *value[1:]]) if type(value) in (tuple, list) else value
    return value


def drawn(shape: tuple[int, ...], layout: Layout | None, dtype: torch.dtype) -> Tensor:
    """Random numbers of a shape in our order, lying in memory in the module's."""
    import torch

    if layout is None or layout not in SWAPPED:
        return torch.randn(shape, dtype=dtype)
    first, second = SWAPPED[layout]
    sizes = list(shape)
    sizes[first], sizes[second] = sizes[second], sizes[first]
    return torch.randn(sizes, dtype=dtype).transpose(first, second)
