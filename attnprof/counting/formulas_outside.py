"""Formulas of the operators that stand for other packages' kernels: what their implementation says it executes."""

from __future__ import annotations

from types import SimpleNamespace

from attnprof.counting.registry import OperatorWork, register_by_name
from attnprof.layers.outside_kernel import OPERATORS


@register_by_name(*OPERATORS)
def outside(given: SimpleNamespace, out: object) -> OperatorWork:
    """A kernel's forward, or its backward, with the exponentials and sums of the scores that it computes again."""
    return OperatorWork(given.flops, given.exp_ops, given.arith_ops, backend=given.kernel, tile=given.tile)
