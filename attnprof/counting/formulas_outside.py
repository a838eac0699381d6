"""Formulas of operators of our own: those that stand for other packages' kernels, and products by groups of rows."""

from __future__ import annotations

from types import SimpleNamespace

from torch import Tensor

from attnprof.counting.formulas_matmul import applied
from attnprof.counting.registry import OperatorWork, register, register_by_name
from attnprof.layers.grouped_rows import ROWS, WEIGHTS
from attnprof.layers.outside_kernel import OPERATORS


@register_by_name(*OPERATORS)
def outside(given: SimpleNamespace, out: object) -> OperatorWork:
    """A kernel's forward, or its backward, with the exponentials and sums of the scores that it computes again."""
    return OperatorWork(given.flops, given.exp_ops, given.arith_ops, backend=given.kernel, tile=given.tile)


@register(ROWS)
def rows_by_group(x: Tensor, weight: Tensor, *_: object, out: object, **__: object) -> int:
    """Every row belongs to one group: one product of `[M, K]` with one `[K, N]`."""
    return applied(x, weight.shape[2])


@register(WEIGHTS)
def weights_by_group(x: Tensor, grad: Tensor, *_: object, out: object, **__: object) -> int:
    """The gradient of the weights: as much as the forward."""
    return applied(x, grad.shape[1])
