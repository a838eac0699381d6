"""A counter that notes every operator, so that a run on fake tensors can be held against one on real ones."""

from __future__ import annotations

from collections import Counter as Multiset
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from attnprof.counting.classify import OperatorKind
from attnprof.counting.counter import OperatorCounter, Rule, moved
from attnprof.counting.registry import OperatorWork
from attnprof.counting.storages import flat, is_plain
from attnprof.torch_private import Arguments, Keywords, Operator, is_wrapper_type, stored

Operators = Multiset[tuple[str, tuple[tuple[int, ...], ...]]]


@dataclass(slots=True)
class Notes:
    """What a run did: each operator with the sizes of its floating-point results; whether any read sparse tensors.

    Results of integers and booleans are left out: bookkeeping that a library may well do on one kind of tensors alone.
    """

    operators: Operators = field(default_factory=Multiset)
    sparse: bool = False


# What makes, copies or reorders a sparse tensor, without arithmetic.
SHAPING = frozenset(
    {
        "_coalesce",
        "_sparse_coo_tensor_with_dims_and_tensors",
        "_sparse_compressed_tensor_unsafe",
        "_to_copy",
        "_to_dense",
        "_to_sparse",
        "_to_sparse_csc",
        "_to_sparse_csr",
        "clone",
        "is_coalesced",
        "sparse_compressed_tensor",
        "sparse_coo_tensor",
        "copy_",
        "detach",
        "sparse_mask",
        "t_copy",
        "transpose_copy",
    }
)


class Observed(OperatorCounter):
    """Counts as `OperatorCounter` does, and takes notes.

    On real tensors, sparse operands are counted by their stored values, jagged ones by the operators that they are
    made of.
    """

    def __init__(self, *given: Any, notes: Notes) -> None:
        super().__init__(*given)
        self.notes = notes

    def __torch_dispatch__(
        self, func: Operator, types: Sequence[type], args: Arguments = (), kwargs: Keywords | None = None
    ) -> object:
        if self.mode is None and any(is_wrapper_type(kind) for kind in types):
            return NotImplemented  # its own operators come here one by one
        return super().__torch_dispatch__(func, types, args, kwargs)

    def _account(self, rule: Rule, args: Arguments, kwargs: Keywords, out: object) -> None:
        sizes = tuple(tuple(t.shape) for t in flat((out,)) if t.is_floating_point() or t.is_complex())
        if sizes:
            self.notes.operators[rule.name, sizes] += 1
        if self.mode is None and not all(is_plain(t) for t in (*_tensors(args), *_tensors((out,)))):
            self._account_sparse(rule, args, out)
        else:
            super()._account(rule, args, kwargs, out)

    def _account_sparse(self, rule: Rule, args: Arguments, out: object) -> None:
        self.notes.sparse = True
        for t in flat((out,)):
            self.lives.born(t)
        self.lives.reached()
        work = sparse_work(rule, _tensors(args), out)
        if work is None:
            self.tally.unknown(rule.name, "on sparse or nested tensors")
        elif work.flops:
            self.tally.product(rule.name, work, self.origin.is_core(flat(args)), self.origin.name())
        else:
            self.tally.other(work)
        if self.origin.follows:
            self.origin.made(rule.name, args, out, work.flops if work and work.flops else None)
        self.tally.moved_bytes += moved(args, out)


def sparse_work(rule: Rule, given: list[Tensor], out: object) -> OperatorWork | None:
    """What an operator on sparse tensors does: a product's FLOPs by the stored values; None where nobody knows."""
    if rule.kind is OperatorKind.COUNTED or rule.name in ("_sparse_mm", "_sparse_addmm"):
        return _sparse_product(given[-2:])
    if rule.name in SHAPING or rule.kind in (OperatorKind.COPY, OperatorKind.VIEW):
        return OperatorWork()
    if rule.kind is OperatorKind.POINTWISE:
        return OperatorWork(arith_ops=sum(t.numel() for t in flat((out,)) if t.is_floating_point()))
    return None


def _sparse_product(factors: list[Tensor]) -> OperatorWork | None:
    """A product of a sparse and a dense matrix, in either order."""
    sparse, dense = [t for t in factors if not is_plain(t)], [t for t in factors if is_plain(t)]
    if len(sparse) != 1 or len(dense) != 1 or dense[0].dim() != 2 or sparse[0].is_nested:
        return None
    across = dense[0].shape[1] if factors[0] is sparse[0] else dense[0].shape[0]
    return OperatorWork(2 * stored(sparse[0]) * across)


def _tensors(values: Iterable[object]) -> list[Tensor]:
    found = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, (tuple, list)):
            found += [t for t in value if isinstance(t, Tensor)]
    return found
