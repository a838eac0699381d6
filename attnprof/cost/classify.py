"""What kind of work an operator without a formula does, from its own tags, its schema and a short list of names.

Elementwise work and reductions are operations, not FLOPs; views and copies are neither; anything else has weight that
nobody has counted, and a total that would include it is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any

import torch
from torch import Tensor

from attnprof.cost.operators import COMPOSITES, COPIES, EXPONENTIALS, POINTWISE, SELECTS, SORTS, VIEWS
from attnprof.cost.registry import Work, numel


class Kind(Enum):
    """How an operator is accounted for."""

    COUNTED = "counted"
    VIEW = "view"
    COPY = "copy"
    POINTWISE = "pointwise"
    REDUCTION = "reduction"
    SELECT = "select"
    UNKNOWN = "unknown"


def kind_of(operator: Any) -> Kind:
    """The kind of an overload that has no formula."""
    name = operator._schema.name.split("::")[1]
    space = operator.namespace
    if space in ("prim", "profiler") or name in ("_local_scalar_dense", "sym_size", "sym_stride", "sym_numel"):
        return Kind.VIEW
    if name in VIEWS or _is_view(operator):
        return Kind.VIEW
    return _kind_of_name(operator, name) or _kind_of_name(operator, name.removesuffix("_")) or Kind.UNKNOWN


def _kind_of_name(operator: Any, name: str) -> Kind | None:
    if name in COPIES or not _takes_tensors(operator) or name.startswith(("new_", "empty", "to_padded")):
        return Kind.COPY
    if name in SELECTS:
        return Kind.SELECT
    if name in COMPOSITES or torch.Tag.reduction in operator.tags:
        return Kind.REDUCTION
    if torch.Tag.pointwise in operator.tags or name in EXPONENTIALS or name in POINTWISE:
        return Kind.POINTWISE
    return Kind.COPY if torch.Tag.view_copy in operator.tags else None


def _is_view(operator: Any) -> bool:
    return any(r.alias_info is not None and not r.alias_info.is_write for r in operator._schema.returns)


def _takes_tensors(operator: Any) -> bool:
    return any("Tensor" in str(argument.type) for argument in operator._schema.arguments)


def worker(operator: Any, kind: Kind) -> Callable[[Any, Any], Work | None]:
    """A function of an operator's arguments and result that gives its work apart from FLOPs."""
    name = operator._schema.name.split("::")[1].removesuffix("_")
    if kind is Kind.POINTWISE:
        heavy = name in EXPONENTIALS
        return lambda args, out: _pointwise(_elements(out), heavy)
    if kind is Kind.REDUCTION:
        exp, arith = COMPOSITES.get(name, (0, 1))
        return lambda args, out: Work(0, exp * _largest(args), arith * _largest(args))
    if kind is Kind.SELECT:
        sorts = name in SORTS
        return lambda args, out: Work(0, 0, 0, _largest(args) if sorts else _moved(args, out))
    return lambda args, out: None


def _pointwise(elements: int, heavy: bool) -> Work:
    return Work(0, elements, 0) if heavy else Work(0, 0, elements)


def _elements(out: Any) -> int:
    first = out if isinstance(out, Tensor) else next((t for t in out if isinstance(t, Tensor)), None) if out else None
    return 0 if first is None else numel(first.shape)


def _largest(args: Any) -> int:
    return numel(args[0].shape) if args and isinstance(args[0], Tensor) else 0


def _moved(args: Any, out: Any) -> int:
    """Elements that an indexed read or write moves: the result of a gather, the source of a scatter."""
    given = [t for t in args[1:] if isinstance(t, Tensor)]
    sources = [t for t in given if t.is_floating_point() or t.is_complex()]
    return numel(sources[-1].shape) if sources else _elements(out)
