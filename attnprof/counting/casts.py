"""Copies in another type that CPU kernels make of their arguments: where types are mixed, or too narrow to sum in.

`made` is the operator's result. Each figure was compared with the allocator's own events.
"""

from __future__ import annotations

from functools import reduce

import torch
from torch import Tensor

from attnprof.counting.storages import flat

HALVES = (torch.bfloat16, torch.float16)
SUM = torch.float32  # what halves are averaged in
INDEX = torch.int64


def copied(t: Tensor, dtype: torch.dtype) -> int:
    """Bytes of a tensor in another type; none where it has that type already."""
    return 0 if t.dtype == dtype else t.numel() * dtype.itemsize


def elementwise(*args: object, made: object = None, **_: object) -> int:
    """Each argument whose type is not the common one is copied into it, and a result that is written in place too."""
    if isinstance(made, Tensor) and all(t.dtype == made.dtype for t in args if isinstance(t, Tensor)):
        return 0
    return _cast(list(flat(args)), next(flat((made,)), None))


def choosing(*args: object, made: object = None, **_: object) -> int:
    """The same of `where` and `masked_fill`, which read the mask as it is."""
    return _cast([t for t in flat(args) if t.dtype != torch.bool], next(flat((made,)), None))


def _cast(given: list[Tensor], result: Tensor | None) -> int:
    if result is None or not given or all(t.dtype == given[0].dtype == result.dtype for t in given):
        return 0
    common = _common(given)
    if result.is_floating_point() and not (common.is_floating_point or common.is_complex):
        common = result.dtype
    in_place = result is given[0] and result.dtype != torch.bool
    return sum(copied(t, common) for t in given) + (copied(result, common) if in_place else 0)


def _common(given: list[Tensor]) -> torch.dtype:
    """The type of the arguments together; those without dimensions count where they are all."""
    shaped = [t.dtype for t in given if t.dim()] or [t.dtype for t in given]
    return reduce(torch.promote_types, shaped)


def summed(x: Tensor, *_: object, made: Tensor, **__: object) -> int:
    """A sum in a wider type copies its input into that."""
    return copied(x, made.dtype)


def mean(x: Tensor, *_: object, made: Tensor, **__: object) -> int:
    """Halves are averaged in single precision, the result too before it is narrowed."""
    return copied(x, SUM) + copied(made, SUM) if made.dtype in HALVES else copied(x, made.dtype)


def truth(x: Tensor, *_: object, **__: object) -> int:
    """Numbers are read as truth values."""
    return 0 if x.dtype == torch.uint8 else copied(x, torch.bool)


def masked(grad: Tensor, *_: object, **__: object) -> int:
    """A mask becomes numbers before it is multiplied by."""
    return grad.numel() * grad.element_size()


def indices(x: Tensor, dim: int, index: Tensor, *_: object, **__: object) -> int:
    """Narrow indices are widened."""
    return copied(index, INDEX)
