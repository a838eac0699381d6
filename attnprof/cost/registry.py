"""The formulas: how many FLOPs an operator spends, as a function of what it is given.

One multiply-add is 2 FLOPs. A formula sees fake tensors: shapes, strides and dtypes, never values.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


class Work(NamedTuple):
    """What one call of an operator does: FLOPs of products, and other operations counted apart.

    `backend` and `tile` name the kernel that the figure assumes, where the figure depends on it.
    """

    flops: int = 0
    exp_ops: int = 0
    arith_ops: int = 0
    select_ops: int = 0
    backend: str | None = None
    tile: str | None = None


Formula = Callable[..., int | Work]

formulas: dict[Any, Formula] = {}
rules: dict[Any, Any] = {}


def register(*operators: Any) -> Callable[[F], F]:
    """Give operators (`torch.ops.my.op`, or one overload of it) a formula.

    The formula takes the operator's own arguments and `out=` its result, and returns FLOPs (int) or a `Work`. A later
    registration replaces an earlier one.
    """
    rules.clear()

    def remember(formula: F) -> F:
        for operator in operators:
            formulas[operator] = formula
        return formula

    return remember


def formula_of(operator: Any) -> Formula | None:
    """The formula of an overload: its own, or that of all overloads of the operator."""
    return formulas.get(operator) or formulas.get(getattr(operator, "overloadpacket", None))


def numel(shape: Any) -> int:
    """Elements of a shape, as an integer or as a symbolic one."""
    total = 1
    for size in shape:
        total = total * size
    return total
