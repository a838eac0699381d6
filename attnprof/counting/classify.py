"""What kind of work an operator without a formula does, from its own tags, its schema and a short list of names.

Elementwise work and reductions are operations, not FLOPs; views and copies are neither; a composite is counted by its
parts; anything else has weight that nobody has counted, and a total that would include it is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum

import torch
from torch import Tensor

from attnprof.counting.operators import (
    ANSWERS,
    COMPOSITES,
    COPIES,
    EXPONENTIALS,
    POINTWISE,
    REDUCTIONS,
    SELECTS,
    SORTS,
    VIEWS,
)  # fmt: skip
from attnprof.counting.registry import OperatorWork, numel
from attnprof.counting.storages import flat
from attnprof.counting.variants import base_name, functional, is_composite
from attnprof.torch_private import Overload, schema


class OperatorKind(Enum):
    """How an operator is accounted for."""

    COUNTED = "counted"
    COMPOSITE = "composite"
    VIEW = "view"
    COPY = "copy"
    POINTWISE = "pointwise"
    REDUCTION = "reduction"
    SELECT = "select"
    UNKNOWN = "unknown"


EACH = "_foreach_"


def kind_of(operator: Overload) -> OperatorKind:
    """The kind of an overload that has no formula."""
    name = base_name(operator)
    if operator.namespace in ("prim", "profiler") or name in ANSWERS:
        return OperatorKind.VIEW
    if is_composite(operator):
        return OperatorKind.COMPOSITE
    same = functional(operator)
    return OperatorKind.VIEW if name in VIEWS or _is_view(same) else _kind_of_functional(same)


def _kind_of_functional(operator: Overload) -> OperatorKind:
    name = base_name(operator)
    found = _kind_of_name(operator, name)
    if found is None and name.startswith(EACH):
        found = _kind_of_name(operator, name.removeprefix(EACH).removesuffix("_")) or _kind_of_single(operator)
    return found or OperatorKind.UNKNOWN


def _kind_of_name(operator: Overload, name: str) -> OperatorKind | None:
    if name in ANSWERS or name in VIEWS:
        return OperatorKind.VIEW
    if name in COPIES or not _takes_tensors(operator) or name.startswith(("new_", "empty", "to_padded")):
        return OperatorKind.COPY
    if name in SELECTS:
        return OperatorKind.SELECT
    if name in COMPOSITES or torch.Tag.reduction in operator.tags:
        return OperatorKind.REDUCTION
    if torch.Tag.pointwise in operator.tags or name in EXPONENTIALS or name in POINTWISE:
        return OperatorKind.POINTWISE
    if name in REDUCTIONS:
        return OperatorKind.REDUCTION
    return OperatorKind.COPY if torch.Tag.view_copy in operator.tags else None


def _kind_of_single(operator: Overload) -> OperatorKind | None:
    """The kind of what `_foreach_abs` does to each of its tensors."""
    packet = getattr(torch.ops.aten, base_name(operator).removeprefix(EACH).removesuffix("_"), None)
    return None if packet is None else _kind_of_functional(getattr(packet, packet.overloads()[0]))


def _is_view(operator: Overload) -> bool:
    return any(r.alias_info is not None and not r.alias_info.is_write for r in schema(operator).returns)


def _takes_tensors(operator: Overload) -> bool:
    return any("Tensor" in str(argument.type) for argument in schema(operator).arguments)


def worker(operator: Overload, kind: OperatorKind) -> Callable[[Sequence[object], object], OperatorWork | None]:
    """A function of an operator's arguments and result that gives its work apart from FLOPs."""
    name = base_name(functional(operator)).removeprefix(EACH)
    if kind is OperatorKind.POINTWISE:
        heavy = name in EXPONENTIALS
        return lambda args, out: _pointwise(_elements(out) or _largest(args), heavy)
    if kind is OperatorKind.REDUCTION:
        exp, arith = COMPOSITES.get(name, (0, 1))
        return lambda args, out: OperatorWork(0, exp * _largest(args), arith * _largest(args))
    if kind is OperatorKind.SELECT:
        sorts = name in SORTS
        return lambda args, out: OperatorWork(0, 0, 0, _largest(args) if sorts else _moved(args, out))
    return lambda args, out: None


def _pointwise(elements: int, heavy: bool) -> OperatorWork:
    return OperatorWork(0, elements, 0) if heavy else OperatorWork(0, 0, elements)


def _elements(out: object) -> int:
    """Elements of the first result; of all tensors of a list."""
    if isinstance(out, list):
        return sum(numel(t.shape) for t in flat(out))
    first = next(flat((out,)), None)
    return 0 if first is None else numel(first.shape)


def _largest(args: Sequence[object]) -> int:
    return sum(numel(t.shape) for t in flat(args[:1])) if args else 0


def _moved(args: Sequence[object], out: object) -> int:
    """Elements that an indexed read or write moves: the result of a gather, the source of a scatter."""
    given = [t for t in args[1:] if isinstance(t, Tensor)]
    sources = [t for t in given if t.is_floating_point() or t.is_complex()]
    return numel(sources[-1].shape) if sources else _elements(out)
