"""Formulas of products: matrix products, convolutions, contractions, dense linear algebra."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from attnprof.cost.registry import Work, numel, register

aten = torch.ops.aten


def multiply_add(t: Tensor) -> int:
    """FLOPs of one multiply-add: 2 for real numbers, 8 for complex ones."""
    return 8 if t.is_complex() else 2


@register(aten.mm, aten._int_mm, aten._scaled_mm, aten.bmm)
def product(a: Tensor, b: Tensor, *_: Any, out: Any, **__: Any) -> int:
    """`[.., p, q] @ [.., q, r]`: 2 p q r for each matrix of the batch."""
    return multiply_add(a) * numel(a.shape) * b.shape[-1]


@register(aten.addmm, aten.baddbmm)
def added_product(_: Tensor, a: Tensor, b: Tensor, *rest: Any, out: Any, **__: Any) -> int:
    """A product added to a tensor; the addition is not counted as FLOPs."""
    return product(a, b, out=out)


@register(aten.addbmm)
def summed_products(_: Tensor, a: Tensor, b: Tensor, *rest: Any, out: Any, **__: Any) -> int:
    """A batch of products, summed."""
    return product(a, b, out=out)


@register(aten._addmm_activation)
def activated_product(_: Tensor, a: Tensor, b: Tensor, *rest: Any, out: Any, **__: Any) -> Work:
    """A product with a bias and a ReLU or GELU in one kernel."""
    return Work(product(a, b, out=out), arith_ops=numel(out.shape))


@register(aten.mv)
def matrix_vector(a: Tensor, *_: Any, out: Any, **__: Any) -> int:
    """`[p, q] @ [q]`: 2 p q."""
    return multiply_add(a) * numel(a.shape)


@register(aten.addmv)
def added_matrix_vector(_: Tensor, a: Tensor, *rest: Any, out: Any, **__: Any) -> int:
    """A matrix-vector product added to a vector."""
    return multiply_add(a) * numel(a.shape)


@register(aten.dot, aten.vdot)
def dot(a: Tensor, *_: Any, out: Any, **__: Any) -> int:
    """Two vectors of q elements: 2 q."""
    return multiply_add(a) * numel(a.shape)


@register(aten.addr)
def rank_one(*_: Any, out: Any, **__: Any) -> int:
    """An outer product: 2 an element of the result."""
    return 2 * numel(out.shape)


@register(aten.convolution, aten._convolution, aten.cudnn_convolution, aten.mkldnn_convolution)
def convolution(
    x: Tensor, weight: Tensor, bias: Any, stride: Any, padding: Any, dilation: Any, transposed: Any = False, *_: Any,
    out: Any, **__: Any,
) -> int:  # fmt: skip
    """Any number of dimensions, grouped, transposed: 2 for each weight at each position where it is applied.

    `weight` is `[C_out, C_in / groups, *k]`, or `[C_in, C_out / groups, *k]` when transposed, so that one filter costs
    the elements of `weight[0]` at every output position (every input position when transposed).
    """
    places = x if transposed is True else out
    return multiply_add(x) * numel(places.shape) * numel(weight.shape[1:])


@register(aten.convolution_backward)
def convolution_backward(
    grad: Tensor, x: Tensor, weight: Tensor, bias: Any, stride: Any, padding: Any, dilation: Any, transposed: bool,
    output_padding: Any, groups: int, mask: list[bool], *, out: Any, **__: Any,
) -> int:  # fmt: skip
    """As much as the forward for each of the two gradients that are asked for."""
    places = x if transposed else grad
    return multiply_add(x) * numel(places.shape) * numel(weight.shape[1:]) * (int(mask[0]) + int(mask[1]))


@register(aten._trilinear)
def trilinear(
    a: Tensor, b: Tensor, c: Tensor, expand_a: Any, expand_b: Any, expand_c: Any, summed: Any, unroll: int = 1, *,
    out: Any, **__: Any,
) -> int:  # fmt: skip
    """`a * b * c` summed over some dimensions: the kernel contracts `a` with `b` first, then with `c`."""
    sides = [_expanded(t.shape, at) for t, at in ((a, expand_a), (b, expand_b), (c, expand_c))]
    full = [max(sizes) for sizes in zip(*sides, strict=True)]
    pair = [max(sizes) for sizes in zip(sides[0], sides[1], strict=True)]
    alone = [d for d in summed if sides[2][d] == 1]
    rest = [size for d, size in enumerate(full) if d not in alone]
    return 2 * numel(pair) + 2 * numel(rest)


def _expanded(shape: Any, at: Any) -> list[int]:
    sizes = list(shape)
    for d in sorted(at):
        sizes.insert(d, 1)
    return sizes


@register(aten._cdist_forward)
def cdist(a: Tensor, b: Tensor, p: float, mode: int | None, *, out: Any, **__: Any) -> Work:
    """Pairwise distances: the Euclidean one as a product of vectors with two more columns when it is long enough."""
    pairs, width = numel(out.shape), a.shape[-1]
    as_product = p == 2.0 and mode != 2 and (mode == 1 or a.shape[-2] > 25 or b.shape[-2] > 25)
    if as_product:
        return Work(2 * pairs * (width + 2), arith_ops=2 * pairs)
    return Work(0, arith_ops=3 * pairs * width)


@register(aten._cdist_backward)
def cdist_backward(grad: Tensor, a: Tensor, *_: Any, out: Any, **__: Any) -> Work:
    """Differences, weighted and summed: no products of matrices."""
    return Work(0, arith_ops=4 * numel(grad.shape) * a.shape[-1])


@register(aten.linalg_inv_ex)
def inverse(a: Tensor, *_: Any, out: Any, **__: Any) -> int:
    """Inverse of `[.., k, k]`: 2 k^3."""
    return 2 * numel(a.shape) * a.shape[-1]


@register(aten.linalg_cholesky_ex)
def cholesky(a: Tensor, *_: Any, out: Any, **__: Any) -> int:
    """Cholesky factor of `[.., k, k]`: k^3 / 3."""
    return numel(a.shape) * a.shape[-1] // 3


@register(aten.linalg_qr)
def qr(a: Tensor, mode: str = "reduced", *, out: Any, **__: Any) -> int:
    """Householder QR of `[.., p, k]`, p >= k: 2 k^2 (p - k / 3) for R, as much again for Q."""
    long, short = max(a.shape[-2:]), min(a.shape[-2:])
    return numel(a.shape[:-2]) * (2 if mode != "r" else 1) * 2 * short * short * (3 * long - short) // 3


@register(aten._linalg_solve_ex)
def solve(a: Tensor, b: Tensor, *_: Any, out: Any, **__: Any) -> int:
    """Solve `[.., k, k] x = [.., k, r]` by LU: 2 k^3 / 3 + 2 k^2 r."""
    right = b.shape[-1] if b.dim() == a.dim() else 1
    return 2 * numel(a.shape) * a.shape[-1] // 3 + 2 * numel(a.shape) * right


@register(aten.linalg_solve_triangular, aten.triangular_solve)
def solve_triangular(a: Tensor, b: Tensor, *_: Any, out: Any, **__: Any) -> int:
    """Forward or back substitution in `[.., k, k]`: k^2 a right-hand side."""
    square, other = (a, b) if a.shape[-1] == a.shape[-2] else (b, a)
    return numel(square.shape) * other.shape[-1]


@register(aten.linalg_lu_factor_ex)
def lu(a: Tensor, *_: Any, out: Any, **__: Any) -> int:
    """LU factors of `[.., k, k]`: 2 k^3 / 3."""
    return 2 * numel(a.shape) * a.shape[-1] // 3
