"""A target as a module of fake tensors (real shapes and types, no memory), or of real ones where that has to be."""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from attnprof.contracts import Target
from attnprof.counting.factors import FactorOrigin
from attnprof.counting.flex_masks import NoValues, Values, counted_flex
from attnprof.counting.origin import MarkedOrigin, Origin
from attnprof.counting.storages import unique_bytes
from attnprof.errors import TooLarge
from attnprof.layers.attention import Attention
from attnprof.pattern.apart import real_numbers
from attnprof.records import JsonDict
from attnprof.shapes import Shape
from attnprof.torch_private import Arguments, FakeTensorMode, buffers_of, fake_mode, is_fake, parameters_of
from attnprof.words import Level

LONGEST_REAL = 1 << 13


@dataclass(frozen=True, slots=True, eq=False)
class Built:
    """A module and its inputs, all of them fake, under the mode that made them; real ones where `mode` is None."""

    mode: FakeTensorMode | None
    module: nn.Module
    inputs: Arguments
    values: Values | None = None

    @property
    def within(self) -> AbstractContextManager[object]:
        """Where its operators have to run."""
        return contextlib.nullcontext() if self.mode is None else self.mode

    @property
    def param_bytes(self) -> int:
        """Bytes of the distinct parameters (a tied weight once)."""
        return unique_bytes(self.module.parameters())

    @property
    def buffer_bytes(self) -> int:
        """Bytes of the distinct registered buffers: masks, index tables."""
        return unique_bytes(self.module.buffers())

    def origin(self, shape: Shape) -> Origin:
        """How to tell the core's products from the rest."""
        if shape.level is Level.CORE:
            return Origin()
        marked = [m.core for m in self.module.modules() if isinstance(m, Attention)]
        return MarkedOrigin(marked) if marked else FactorOrigin(self.module)


def build(target: Target, shape: Shape) -> Built:
    """The target at this shape on fake tensors. Raises whatever `target.build` raises for it."""
    return build_in(fake_mode(), target, shape)


def build_in(mode: FakeTensorMode, target: Target, shape: Shape) -> Built:
    """`build` under a mode that is given."""
    values = Values(lambda: target.build(shape))
    module = _module(mode, target, shape, values)
    with mode:
        inputs = target.inputs(shape)
    return Built(mode, module, tuple(_fake(x, mode) for x in inputs), values)


def _module(mode: FakeTensorMode, target: Target, shape: Shape, values: Values) -> nn.Module:
    """The module on fake tensors; made for real first where its masks depend on tensors that its constructor fills."""
    try:
        with counted_flex(values), mode:
            module = target.build(shape)
    except NoValues:
        if shape.n > LONGEST_REAL:
            raise TooLarge(
                f"{target.name} makes a BlockMask of tensors with values, so that it is made for real: up to n = "
                f"{LONGEST_REAL}, not {shape.n}",
                hint="a mask of sizes alone has no such limit",
            ) from None
        with real_numbers():
            module = target.build(shape)
    values.take(module)
    _make_fake(module, mode)
    return module


def build_real(target: Target, shape: Shape) -> Built:
    """The target at this shape on real tensors: it takes the memory that it takes."""
    torch.manual_seed(shape.seed)
    return Built(None, target.build(shape), target.inputs(shape))


def built_once(target: Target, shape: Shape) -> Built:
    """`build`, remembered for the next pass of the same target at the same shape."""
    if _last.get("at") != (id(target), shape):
        _last.update(built=build(target, shape), at=(id(target), shape), target=target)
    return _last["built"]


_last: JsonDict = {}


def _make_fake(module: nn.Module, mode: FakeTensorMode) -> None:
    """Replace tensors that a module made from data of its own (NumPy tables, tensors built before) by fake ones.

    Tied parameters stay one.
    """
    made: dict[int, tuple[nn.Parameter, nn.Parameter]] = {}
    for part in module.modules():
        buffers, parameters = buffers_of(part), parameters_of(part)
        for name, buffer in buffers.items():
            buffers[name] = _fake(buffer, mode)
        for name, real in parameters.items():
            if real is not None and not is_fake(real):
                if id(real) not in made:
                    made[id(real)] = real, nn.Parameter(mode.from_tensor(real.detach()), real.requires_grad)
                parameters[name] = made[id(real)][1]


def _fake(value: Tensor | None, mode: FakeTensorMode) -> Tensor | None:
    if isinstance(value, Tensor) and not is_fake(value):
        return mode.from_tensor(value)
    return value
