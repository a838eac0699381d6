"""One trace with a symbolic length: FLOPs and saved bytes as expressions, derived from the code that runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction

import torch
from sympy import Function
from torch import Tensor

from attnprof.closed_forms.sampler import UNIT
from attnprof.contracts import Target
from attnprof.counting.built import Built, build_in
from attnprof.counting.counter import OperatorCounter, Rule
from attnprof.counting.flex_masks import counted_flex
from attnprof.counting.interpolate import Terms
from attnprof.counting.running import CountedRun, slow_path, train
from attnprof.counting.storages import Lifetimes, flat
from attnprof.counting.tally import OperatorTally
from attnprof.impl import implementation
from attnprof.shapes import Shape
from attnprof.torch_private import (
    Arguments,
    Keywords,
    Operator,
    expression,
    fake_mode,
    is_pinned,
    quiet_fakes,
    symbolic_size,
    without_arrays,
)


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

    def __torch_dispatch__(
        self, func: Operator, types: Sequence[type], args: Arguments = (), kwargs: Keywords | None = None
    ) -> object:
        if func is PAD:
            raise SymbolPinned("padding needs the length as an integer")
        if self.calls > LONGEST:
            raise SymbolPinned(f"the trace is longer than {LONGEST} operators, so integers were counted instead")
        out = super().__torch_dispatch__(func, types, args, kwargs)
        for t in flat((out,)):
            symbolic = [size for size in t.shape if isinstance(size, torch.SymInt)]
            if any(expression(size).atoms(Function) for size in symbolic):
                raise SymbolPinned(f"the length is divided by a block that does not divide {UNIT}")
            if symbolic and t.dim() > MOST_DIMENSIONS:
                raise SymbolPinned("the length is cut into blocks, which integers count far sooner than a trace")
        return out

    def _account(self, rule: Rule, args: Arguments, kwargs: Keywords, out: object) -> None:
        for t in flat((out,)):
            self.lives.born(t)
        flops = self._count(rule, args, kwargs, out)
        if self.origin.follows:
            self.origin.made(rule.name, args, out, flops)

    def _engine_reuses(self, args: Arguments) -> bool:
        return False


def trace(target: Target, shape: Shape) -> dict[str, Terms]:
    """Each figure of a training pass as a polynomial in n, for multiples of `UNIT`. Raises `SymbolPinned` without one.

    The length is traced as `UNIT` m, so that blocks which divide `UNIT` divide it too.

    Keys: `forward_flops`, `forward_core`, `train_flops`, `train_core`, `saved_bytes`, `param_bytes`.
    """
    if target.impl is not None and not implementation(target.impl).any_length:
        raise SymbolPinned(f"{target.impl} lowers the pattern for one length")
    env, size = symbolic_size("m", shape.n // UNIT)
    length: object = size * UNIT
    mode = fake_mode(env)
    try:
        with mode, quiet_fakes(), without_arrays(lambda: SymbolPinned("a NumPy table is made for one length")):
            built = build_in(mode, target, shape.replace(n=length))
            if is_pinned(env):
                raise SymbolPinned("the module is built for one length")
            run = _run(built, shape)
    except SymbolPinned:
        raise
    except Exception as error:
        raise SymbolPinned(f"{type(error).__name__}: {error}") from error
    if is_pinned(env) or run.tally.uncounted:
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


def _run(built: Built, shape: Shape) -> CountedRun:
    run = CountedRun(OperatorTally(), _Sizes())
    origin = built.origin(shape)
    run.lives.before([*built.module.parameters(), *built.module.buffers(), *_tensors(built.inputs)])
    try:
        with slow_path(), counted_flex():
            train(built, run, _Symbolic(run.tally, run.lives, origin))
    finally:
        origin.close()
    return run


def _tensors(values: Iterable[object]) -> list[Tensor]:
    return list(flat(values))


def _polynomial(value: int | torch.SymInt) -> Terms:
    """A traced size, in m, as coefficients of powers of n = `UNIT` m."""
    import sympy

    expanded = sympy.expand(expression(value))
    symbols = sorted(expanded.free_symbols, key=str)
    if len(symbols) > 1 or expanded.atoms(sympy.Function):
        raise SymbolPinned(f"the trace gives {expanded}, which is no polynomial in n")
    if not symbols:
        return {(0,): Fraction(int(expanded))} if expanded else {}
    found = sympy.Poly(expanded, symbols[0]).terms()
    return {(int(power),): Fraction(int(c.p), int(c.q)) / UNIT ** int(power) for (power,), c in found}
