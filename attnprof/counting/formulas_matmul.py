"""Formulas of matrix products, whichever library runs them and however the matrices are packed."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace

import torch
from torch import Tensor

from attnprof.counting.registry import OperatorWork, numel, register, register_by_name

aten = torch.ops.aten
PACKED = {"torch.float4_e2m1fn_x2": 2}  # elements in one of a tensor's


def multiply_add(t: Tensor) -> int:
    """FLOPs of one multiply-add: 2 for real numbers, 8 for complex ones."""
    return 8 if t.is_complex() else 2


def applied(a: Tensor, width: int) -> int:
    """FLOPs of a matrix with `width` columns applied to the last dimension of `a`."""
    return multiply_add(a) * PACKED.get(str(a.dtype), 1) * numel(a.shape) * width


@register(aten.mm, aten._int_mm, aten._scaled_mm, aten._scaled_mm_v2, aten.bmm)
def product(a: Tensor, b: Tensor, *_: object, out: object, **__: object) -> int:
    """`[.., p, q] @ [.., q, r]`: 2 p q r for each matrix of the batch."""
    return applied(a, b.shape[-1])


@register(aten.addmm, aten.baddbmm)
def added_product(_: Tensor, a: Tensor, b: Tensor, *rest: object, out: object, **__: object) -> int:
    """A product added to a tensor; the addition is not counted as FLOPs."""
    return product(a, b, out=out)


@register(aten.addbmm)
def summed_products(_: Tensor, a: Tensor, b: Tensor, *rest: object, out: object, **__: object) -> int:
    """A batch of products, summed."""
    return product(a, b, out=out)


@register(aten._addmm_activation)
def activated_product(_: Tensor, a: Tensor, b: Tensor, *rest: object, out: Tensor, **__: object) -> OperatorWork:
    """A product with a bias and a ReLU or GELU in one kernel."""
    return OperatorWork(product(a, b, out=out), arith_ops=numel(out.shape))


@register(aten._foreach_mm)
def products(left: list[Tensor], right: list[Tensor], *_: object, out: object, **__: object) -> int:
    """A list of products of matrices."""
    return sum(product(a, b, out=None) for a, b in zip(left, right, strict=True))


@register(aten._grouped_mm, aten._scaled_grouped_mm, aten._scaled_grouped_mm_v2)
def grouped(a: Tensor, b: Tensor, *_: object, out: object, **__: object) -> int:
    """One product a group, the groups given by where they end: together they are one product of the whole lengths.

    `[M, K] @ [G, K, N]` groups the M rows, `[G, M, K] @ [K, N]` the N columns, `[M, K] @ [K, N]` the K between them,
    and each row, column or place in K belongs to one group. Rows after the last group's end, which no kernel computes,
    would be counted: where groups end is a value.
    """
    groups = a.shape[0] if a.dim() > b.dim() else 1
    return applied(a, b.shape[-1]) // groups


@register(aten.mv)
def matrix_vector(a: Tensor, *_: object, out: object, **__: object) -> int:
    """`[p, q] @ [q]`: 2 p q."""
    return applied(a, 1)


@register(aten.addmv)
def added_matrix_vector(_: Tensor, a: Tensor, *rest: object, out: object, **__: object) -> int:
    """A matrix-vector product added to a vector."""
    return applied(a, 1)


@register(aten.dot, aten.vdot)
def dot(a: Tensor, *_: object, out: object, **__: object) -> int:
    """Two vectors of q elements: 2 q."""
    return applied(a, 1)


@register(aten.addr)
def rank_one(_: Tensor, a: Tensor, b: Tensor, *rest: object, out: object, **__: object) -> int:
    """An outer product added to a matrix: a multiply-add for each of its elements."""
    return applied(a, b.shape[0])


@register(
    aten.linear,
    aten.mkldnn_linear,
    aten._mixed_dtypes_linear,
    aten._weight_int4pack_mm,
    aten._weight_int4pack_mm_for_cpu,
    aten._weight_int4pack_mm_with_scales_and_zeros,
    aten._weight_int8pack_mm,
    aten._dyn_quant_matmul_4bit,
)
def linear(x: Tensor, *_: object, out: Tensor, **__: object) -> int:
    """A linear layer, its weight packed in whatever way: as many products as the result is wide."""
    return applied(x, out.shape[-1])


@register_by_name(aten.linear_backward, aten.mkldnn_linear_backward)
def linear_backward(given: SimpleNamespace, out: object) -> int:
    """As much as the forward for each of the two gradients that are asked for."""
    return applied(given.self, given.weight.shape[0]) * (int(given.output_mask[0]) + int(given.output_mask[1]))


@register_by_name(aten.mkldnn_linear_backward_input)
def linear_backward_input(given: SimpleNamespace, out: object) -> int:
    """The input's gradient: the weight applied to the result's gradient."""
    return applied(given.grad_output, given.weight.shape[1])


@register_by_name(aten.mkldnn_linear_backward_weights)
def linear_backward_weights(given: SimpleNamespace, out: object) -> int:
    """The weight's gradient: as much as the forward."""
    return applied(given.grad_output, given.input.shape[-1])


@register_by_name(aten.matmul_backward)
def matmul_backward(given: SimpleNamespace, out: object) -> int:
    """As much as the forward for each of the two gradients that are asked for."""
    return applied(given.grad, given.self.shape[-1]) * (int(given.mask[0]) + int(given.mask[1]))


@register(aten._sparse_semi_structured_mm)
def half_kept(kept: Tensor, meta: Tensor, b: Tensor, *_: object, out: object, **__: object) -> int:
    """A matrix of which two in four elements are stored: only the stored ones are multiplied."""
    return applied(kept, b.shape[-1])


@register(aten._sparse_semi_structured_addmm)
def half_kept_added(_: Tensor, kept: Tensor, meta: Tensor, b: Tensor, *rest: object, out: object, **__: object) -> int:
    """The same, added to a tensor."""
    return applied(kept, b.shape[-1])


@register(aten._sparse_semi_structured_linear)
def half_kept_linear(x: Tensor, kept: Tensor, *_: object, out: object, **__: object) -> int:
    """A linear layer whose weight `[p, q / 2]` stores two in four elements."""
    return applied(x, kept.shape[0]) // 2


@register(aten._cslt_sparse_mm)
def half_kept_packed(kept: Tensor, b: Tensor, *_: object, out: Tensor, **__: object) -> int:
    """cuSPARSELt's: values and places of the first matrix in one buffer, half of `[p, q]` stored."""
    return applied(out, b.shape[0]) // 2


Axes = Sequence[int]


@register(aten._trilinear)
def trilinear(
    a: Tensor, b: Tensor, c: Tensor, expand_a: Axes, expand_b: Axes, expand_c: Axes, summed: Axes, unroll: int = 1, *,
    out: object, **__: object,
) -> int:  # fmt: skip
    """`a * b * c` summed over some dimensions: the kernel contracts `a` with `b` first, then with `c`."""
    sides = [_expanded(t.shape, at) for t, at in ((a, expand_a), (b, expand_b), (c, expand_c))]
    full = [max(sizes) for sizes in zip(*sides, strict=True)]
    pair = [max(sizes) for sizes in zip(sides[0], sides[1], strict=True)]
    alone = [d for d in summed if sides[2][d] == 1]
    rest = [size for d, size in enumerate(full) if d not in alone]
    return multiply_add(a) * (numel(pair) + numel(rest))


def _expanded(shape: Sequence[int], at: Axes) -> list[int]:
    sizes = list(shape)
    for d in sorted(at):
        sizes.insert(d, 1)
    return sizes
