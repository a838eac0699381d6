"""Formulas of distances, bags of embeddings and grids: products that hide in operators of other names."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import Tensor

from attnprof.counting.formulas_matmul import applied
from attnprof.counting.registry import OperatorWork, numel, register, register_by_name

aten = torch.ops.aten


@register(aten._euclidean_dist)
def euclidean(a: Tensor, b: Tensor, *, out: Tensor, **__: object) -> OperatorWork:
    """Distances of `[.., p, d]` from `[.., r, d]` as one product of vectors with two more columns, squared norms."""
    pairs = numel(out.shape)
    return OperatorWork(2 * pairs * (a.shape[-1] + 2), arith_ops=2 * pairs)


@register(aten._cdist_forward)
def cdist(a: Tensor, b: Tensor, p: float, mode: int | None, *, out: Tensor, **__: object) -> OperatorWork:
    """Pairwise distances: the Euclidean one as a product of vectors with two more columns when it is long enough."""
    as_product = p == 2.0 and mode != 2 and (mode == 1 or a.shape[-2] > 25 or b.shape[-2] > 25)
    return euclidean(a, b, out=out) if as_product else OperatorWork(0, arith_ops=3 * numel(out.shape) * a.shape[-1])


@register(aten._cdist_backward)
def cdist_backward(grad: Tensor, a: Tensor, *_: object, out: object, **__: object) -> OperatorWork:
    """Differences, weighted and summed: no products of matrices."""
    return OperatorWork(0, arith_ops=4 * numel(grad.shape) * a.shape[-1])


@register(aten._pdist_forward)
def pdist(a: Tensor, *_: object, out: Tensor, **__: object) -> OperatorWork:
    """Distances of all pairs of rows, by their differences."""
    return OperatorWork(0, arith_ops=3 * numel(out.shape) * a.shape[-1])


@register(aten._pdist_backward)
def pdist_backward(grad: Tensor, a: Tensor, *_: object, out: object, **__: object) -> OperatorWork:
    """Differences, weighted and summed."""
    return OperatorWork(0, arith_ops=4 * numel(grad.shape) * a.shape[-1])


def bag(indices: Tensor, width: int, weighted: bool) -> OperatorWork:
    """Rows of `width` elements picked and summed: a multiply-add an element where each row has a weight."""
    picked = numel(indices.shape) * width
    return OperatorWork(2 * picked if weighted else 0, arith_ops=0 if weighted else picked, select_ops=picked)


@register_by_name(aten._embedding_bag, aten._embedding_bag_forward_only)
def embedding_bag(given: SimpleNamespace, out: object) -> OperatorWork:
    """Sums of rows of a table; with weights of their own it is the mixing of a memory's values."""
    return bag(given.indices, given.weight.shape[-1], given.per_sample_weights is not None)


@register_by_name(aten._embedding_bag_backward, aten._embedding_bag_dense_backward)
def embedding_bag_backward(given: SimpleNamespace, out: object) -> OperatorWork:
    """The table's gradient: each bag's gradient added to its rows, times their weights."""
    return bag(given.indices, given.grad.shape[-1], given.per_sample_weights is not None)


@register_by_name(aten._embedding_bag_per_sample_weights_backward)
def embedding_bag_weights_backward(given: SimpleNamespace, out: object) -> OperatorWork:
    """The weights' gradients: each row times its bag's gradient."""
    return bag(given.indices, given.weight.shape[-1], True)


@register(aten.affine_grid_generator)
def affine_grid(theta: Tensor, *_: object, out: Tensor, **__: object) -> int:
    """Every place of a grid, in homogeneous coordinates, times a matrix `[d, d + 1]`."""
    return applied(out, theta.shape[-1])


@register(aten.cudnn_affine_grid_generator)
def affine_grid_cudnn(theta: Tensor, *_: object, out: Tensor, **__: object) -> int:
    """The same in cuDNN."""
    return applied(out, theta.shape[-1])


@register(aten.cudnn_affine_grid_generator_backward)
def affine_grid_backward(grad: Tensor, *_: object, out: Tensor, **__: object) -> int:
    """The matrix's gradient: as much as the forward."""
    return applied(grad, out.shape[-1])
