"""One trace with a symbolic length: FLOPs and saved bytes as expressions, derived from the code that runs."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import torch
from sympy import Function
from torch import Tensor
from torch._dynamo.source import ConstantSource
from torch.fx.experimental.symbolic_shapes import DimDynamic, ShapeEnv

from attnprof.closed_forms.sampler import UNIT
from attnprof.contracts import Target
from attnprof.counting.built import build_in, fake_mode
from attnprof.counting.counter import OperatorCounter, Rule
from attnprof.counting.flex_masks import counted_flex
from attnprof.counting.interpolate import Terms
from attnprof.counting.running import CountedRun, slow_path, train
from attnprof.counting.storages import Lifetimes, flat
from attnprof.counting.tally import OperatorTally
from attnprof.impl import implementation
from attnprof.shapes import Shape


class SymbolPinned(Exception):
    """The module needs the length as an integer, so that no expression in it can be traced."""


class _Sizes(Lifetimes):
    """Storages without a peak: comparing symbolic sizes would pin them."""

    def reached(self, extra: int = 0) -> None:
        pass


PAD = torch.ops.aten.constant_pad_nd.default
LONGEST = 300
MOST_DIMENSIONS = 4  # b, h, n, d: reasoning about strides of more takes a trace many seconds


class _Symbolic(OperatorCounter):
    """Counts products and storages only, and compares nothing; gives up on a module that is long to trace."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is PAD:
            raise SymbolPinned("padding needs the length as an integer")
        if self.calls > LONGEST:
            raise SymbolPinned(f"the trace is longer than {LONGEST} operators, so integers were counted instead")
        out = super().__torch_dispatch__(func, types, args, kwargs)
        for t in flat((out,)):
            symbolic = [size for size in t.shape if isinstance(size, torch.SymInt)]
            if any(size.node.expr.atoms(Function) for size in symbolic):
                raise SymbolPinned(f"the length is divided by a block that does not divide {UNIT}")
            if symbolic and t.dim() > MOST_DIMENSIONS:
                raise SymbolPinned("the length is cut into blocks, which integers count far sooner than a trace")
        return out

    def _account(self, rule: Rule, args: Any, kwargs: Any, out: Any) -> None:
        for t in flat((out,)):
            self.lives.born(t)
        flops = self._count(rule, args, kwargs, out)
        if self.origin.follows:
            self.origin.made(rule.name, args, out, flops)

    def _engine_reuses(self, args: Any) -> bool:
        return False


def trace(target: Target, shape: Shape) -> dict[str, Terms]:
    """Each figure of a training pass as a polynomial in n, for multiples of `UNIT`. Raises `SymbolPinned` without one.

    The length is traced as `UNIT` m, so that blocks which divide `UNIT` divide it too.

    Keys: `forward_flops`, `forward_core`, `train_flops`, `train_core`, `saved_bytes`, `param_bytes`.
    """
    if target.impl is not None and not implementation(target.impl).any_length:
        raise SymbolPinned(f"{target.impl} lowers the pattern for one length")
    env = ShapeEnv()
    length = _symbol(env, shape.n // UNIT) * UNIT
    mode = fake_mode(env)
    try:
        with mode, _quiet(), _no_arrays():
            built = build_in(mode, target, shape.replace(n=length))
            if env.replacements:
                raise SymbolPinned("the module is built for one length")
            run = _run(built, shape)
    except SymbolPinned:
        raise
    except Exception as error:
        raise SymbolPinned(f"{type(error).__name__}: {error}") from error
    if env.replacements or run.tally.uncounted:
        raise SymbolPinned("the length became a number while the module ran")
    figures = {
        "forward_flops": run.forward_flops,
        "forward_core": run.forward_core,
        "train_flops": run.tally.flops,
        "train_core": run.tally.core,
        "saved_bytes": run.saved_bytes,
        "param_bytes": built.param_bytes,
    }
    return {name: _polynomial(value) for name, value in figures.items()}


@contextlib.contextmanager
def _no_arrays() -> Iterator[None]:
    """Give up as soon as NumPy meets a symbol: it would compute with it element by element, for many seconds."""

    def refuse(self: Any, *_: Any, **__: Any) -> Any:
        raise SymbolPinned("a NumPy table is made for one length")

    symbol: Any = torch.SymInt
    symbol.__array__ = refuse
    try:
        yield
    finally:
        del symbol.__array__


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the stack traces that torch logs for an operator that cannot run on symbols."""
    logger = logging.getLogger("torch._subclasses.fake_tensor")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


def _run(built: Any, shape: Shape) -> CountedRun:
    run = CountedRun(OperatorTally(), _Sizes())
    origin = built.origin(shape)
    run.lives.before([*built.module.parameters(), *built.module.buffers(), *_tensors(built.inputs)])
    try:
        with slow_path(), counted_flex():
            train(built, run, _Symbolic(run.tally, run.lives, origin))
    finally:
        origin.close()
    return run


def _tensors(values: Any) -> list[Tensor]:
    return list(flat(values))


def _symbol(env: ShapeEnv, near: int) -> Any:
    source = ConstantSource("m")
    symbol = env.create_symbol(near, source=source, dynamic_dim=DimDynamic.DYNAMIC, constraint_dim=None)
    return env.create_symintnode(symbol, hint=near, source=source)


def _polynomial(value: Any) -> Terms:
    """A traced size, in m, as coefficients of powers of n = `UNIT` m."""
    import sympy

    expression = sympy.expand(value.node.expr) if hasattr(value, "node") else sympy.Integer(value)
    symbols = sorted(expression.free_symbols, key=str)
    if len(symbols) > 1 or expression.atoms(sympy.Function):
        raise SymbolPinned(f"the trace gives {expression}, which is no polynomial in n")
    if not symbols:
        return {(0,): Fraction(int(expression))} if expression else {}
    found = sympy.Poly(expression, symbols[0]).terms()
    return {(int(power),): Fraction(int(c.p), int(c.q)) / UNIT ** int(power) for (power,), c in found}
