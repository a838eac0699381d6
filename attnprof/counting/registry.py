"""The formulas: how many FLOPs an operator spends, as a function of what it is given.

One multiply-add is 2 FLOPs. A formula sees fake tensors: shapes, strides and dtypes, never values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, NamedTuple, TypeVar

from attnprof.counting.variants import functional
from attnprof.torch_private import Overload, is_overload, schema


class OperatorWork(NamedTuple):
    """What one call of an operator does: FLOPs of products, and other operations counted apart.

    `backend` and `tile` name the kernel that the figure assumes, where the figure depends on it; `convention` states
    the count of an algorithm that iterates until it is done.
    """

    flops: int = 0
    exp_ops: int = 0
    arith_ops: int = 0
    select_ops: int = 0
    backend: str | None = None
    tile: str | None = None
    convention: str | None = None


class Unknowable(NamedTuple):
    """What a formula answers where this call's work is not a function of shapes, and why."""

    reason: str


Formula = Callable[..., int | OperatorWork | Unknowable]
F = TypeVar("F", bound=Formula)

formulas: dict[object, Formula] = {}
rules: dict[object, Any] = {}


def register(*operators: object) -> Callable[[F], F]:
    """Give operators (`torch.ops.my.op`, or one overload of it) a formula.

    The formula takes the operator's own arguments and `out=` its result, and returns FLOPs (int), a `OperatorWork`, or
    `Unknowable`. In-place and `out` variants share it. A later registration replaces an earlier one.
    """
    rules.clear()

    def remember(formula: F) -> F:
        for operator in operators:
            formulas[operator] = formula
        return formula

    return remember


@dataclass(frozen=True, slots=True)
class ByName:
    """A formula that is given its operator's arguments by their names in the schema, defaults filled in."""

    function: Callable[..., int | OperatorWork | Unknowable]

    def of(self, operator: Overload) -> Formula:
        """The formula of one overload, to be called as any other."""
        arguments = schema(operator).arguments
        names = [a.name for a in arguments]
        defaults = {a.name: a.default_value for a in arguments}

        def formula(*args: object, out: object, **kwargs: object) -> int | OperatorWork | Unknowable:
            bound = {**defaults, **dict(zip(names, args, strict=False)), **kwargs}
            return self.function(SimpleNamespace(**bound), out)

        return formula

    def __call__(self, *args: object, **kwargs: object) -> int:
        raise TypeError("bind it to an overload first")


def register_by_name(*operators: object) -> Callable[[F], F]:
    """`register` for one formula of operators whose arguments stand in different places: `formula(given, out)`."""

    def remember(function: F) -> F:
        register(*operators)(ByName(function))
        return function

    return remember


def formula_of(operator: object) -> Formula | None:
    """The formula of an overload: its own, that of all overloads, or that of the operator that it is a variant of."""
    found = _stated(operator)
    if found is None and is_overload(operator):
        operator = functional(operator)
        found = _stated(operator)
    return found.of(operator) if isinstance(found, ByName) and is_overload(operator) else found


def _stated(operator: object) -> Formula | None:
    return formulas.get(operator) or formulas.get(getattr(operator, "overloadpacket", None))


def numel(shape: Iterable[int]) -> int:
    """Elements of a shape, as an integer or as a symbolic one."""
    total = 1
    for size in shape:
        total = total * size
    return total
